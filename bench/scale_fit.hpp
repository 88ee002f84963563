// How a quantity grows with the number of rows: of two laws the one that foretells the largest size better from the others.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace bench {

struct Law {
    bool power = false;         // y = e^b n^a, else y = a ln n + b
    double a = 0, b = 0;

    double at(double n) const { return power ? std::exp(b) * std::pow(n, a) : a * std::log(n) + b; }
};

// Least squares over the first `count` sizes.
inline Law fit_law(bool power, const std::vector<double> &sizes, const std::vector<double> &values, size_t count) {
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < count; ++i) {
        const double x = std::log(sizes[i]), y = power ? std::log(values[i]) : values[i];
        sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    const double n = static_cast<double>(count);
    Law law;
    law.power = power;
    law.a = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    law.b = (sy - law.a * sx) / n;
    return law;
}

struct Growth {
    Law law;                    // the better one, fitted to all sizes
    double log_error = 0;       // at the largest size, foretold from the others: 0.1 is 10 % too much
    double power_error = 0;
};

// Three sizes or more, ascending; values above 0.
inline Growth growth_of(const std::vector<double> &sizes, const std::vector<double> &values) {
    const size_t fitted = sizes.size() - 1;
    const auto error = [&](bool power) { return fit_law(power, sizes, values, fitted).at(sizes[fitted]) / values[fitted] - 1; };
    Growth g;
    g.log_error = error(false);
    g.power_error = error(true);
    g.law = fit_law(std::fabs(g.power_error) < std::fabs(g.log_error), sizes, values, sizes.size());
    return g;
}

} // namespace bench
