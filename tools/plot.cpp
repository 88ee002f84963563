// See plot.hpp.
#include "plot.hpp"

#include "svg.hpp"

#include <algorithm>
#include <cmath>

namespace tools {
namespace {

constexpr double width = 860, height = 540;
constexpr double left = 84, right = 36, top = 84, bottom = 70;

// The tick step that gives about six ticks: 1, 2 or 5 times a power of ten.
double tick_step(double range) {
    const double rough = range / 6, power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= rough) return factor * power;
    }
    return 10 * power;
}

struct Axes {
    double x_low, x_high, x_step;
    double y_low, y_high;       // powers of ten of these are the ends

    double x(double value) const { return left + (value - x_low) / (x_high - x_low) * (width - left - right); }
    double y(double value) const {
        return height - bottom - (std::log10(value) - y_low) / (y_high - y_low) * (height - top - bottom);
    }
};

Axes axes_for(const std::vector<PlotPoint> &points) {
    double x_least = 0.9, y_least = 1, y_most = 10;
    for (size_t i = 0; i < points.size(); ++i) {
        x_least = i == 0 ? points[i].x : std::min(x_least, points[i].x);
        y_least = i == 0 ? points[i].y : std::min(y_least, points[i].y);
        y_most = i == 0 ? points[i].y : std::max(y_most, points[i].y);
    }
    Axes axes{};
    const double range = std::max(1 - x_least, 0.005);
    axes.x_step = tick_step(range);
    axes.x_low = std::max(0.0, std::floor((1 - range) / axes.x_step - 0.2) * axes.x_step);
    axes.x_high = 1 + 0.02 * (1 - axes.x_low);      // so that the last point stands clear of the edge
    const double room = std::max(0.08 * std::log10(y_most / y_least), 0.1);
    axes.y_low = std::log10(y_least) - room;
    axes.y_high = std::log10(y_most) + room;
    return axes;
}

std::string x_axis(const Axes &axes) {
    std::string svg;
    const int digits = std::max(1, static_cast<int>(std::ceil(-std::log10(axes.x_step) - 1e-9)));
    const int ticks = static_cast<int>(std::round((1 - axes.x_low) / axes.x_step));
    for (int i = 0; i <= ticks; ++i) {
        const double value = axes.x_low + i * axes.x_step, x = axes.x(value);
        svg += svg_line(x, top, x, height - bottom, "grid");
        svg += svg_text(x, height - bottom + 20, "tick mid", format("%.*f", digits, value));
    }
    return svg;
}

// Lines at 1 to 9 times the powers of ten; labels at 1, 2 and 5 unless the range is so wide that they would collide.
std::string y_axis(const Axes &axes) {
    std::string svg;
    for (double power = std::floor(axes.y_low); power <= axes.y_high; ++power) {
        for (int factor = 1; factor <= 9; ++factor) {
            const double value = factor * std::pow(10.0, power), at = std::log10(value);
            if (at < axes.y_low || at > axes.y_high) continue;
            const double y = axes.y(value), range = axes.y_high - axes.y_low;
            const bool labelled = factor == 1 || (range < 5 && (factor == 2 || factor == 5)) || range < 0.6;
            svg += svg_line(left, y, width - right, y, labelled ? "grid" : "faint");
            if (labelled) svg += svg_text(left - 10, y + 4, "tick end", short_number(value));
        }
    }
    return svg;
}

std::string curve(const Axes &axes, const std::vector<PlotPoint> &points) {
    std::string path, dots;
    double label_x = -1e9, label_y = -1e9;
    for (const PlotPoint &p : points) {
        const double x = axes.x(p.x), y = axes.y(p.y);
        path += format("%s%.1f,%.1f", path.empty() ? "" : " ", x, y);
        dots += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" class=\"dot\"><title>%s: %.4f, %.0f</title></circle>\n",
                       x, y, svg_escaped(p.label).c_str(), p.x, p.y);
        // Where points crowd, some labels are left out rather than printed over each other.
        if (std::fabs(x - label_x) < 26 && std::fabs(y - label_y) < 15) continue;
        dots += svg_text(x - 8, y + 15, "note end", p.label);
        label_x = x;
        label_y = y;
    }
    return "<polyline class=\"curve\" points=\"" + path + "\"/>\n" + dots;
}

const char *const style =
    ".curve { fill: none; stroke: #1769aa; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }\n"
    ".dot { fill: #ffffff; stroke: #1769aa; stroke-width: 2; }\n";

} // namespace

std::string plot_svg(const Plot &plot) {
    const Axes axes = axes_for(plot.points);
    const double middle_x = (left + width - right) / 2, middle_y = (top + height - bottom) / 2;
    std::string svg = svg_begin(width, height, plot.title, style);
    svg += svg_text(left, 36, "title", plot.title);
    svg += svg_text(left, 58, "subtitle", plot.subtitle);
    svg += x_axis(axes) + y_axis(axes);
    svg += svg_line(left, height - bottom, width - right, height - bottom, "frame");
    svg += svg_line(left, top, left, height - bottom, "frame");
    svg += svg_text(middle_x, height - 20, "axis mid", plot.x_label);
    svg += svg_text(width - right, height - 20, "note end", plot.point_note);
    svg += format("<g transform=\"translate(30 %.1f) rotate(-90)\">", middle_y) +
           svg_text(0, 0, "axis mid", plot.y_label) + "</g>\n";
    return svg + curve(axes, plot.points) + "</svg>\n";
}

} // namespace tools
