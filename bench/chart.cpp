// See chart.hpp.
#include "chart.hpp"

#include "../tools/svg.hpp"

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

using tools::format;
using tools::svg_line;
using tools::svg_text;

constexpr double panel_height = 390, head = 84, legend_line = 24, foot = 14;
constexpr double left = 74, right = 22, top = 44, bottom = 58;     // within a panel
constexpr double recall_low = 0.8, recall_high = 0.9995;

const char *const style =
    ".panel { font-size: 16px; font-weight: 600; }\n"
    ".name { font-size: 14px; }\n"
    ".curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }\n"
    ".first { stroke-width: 3.6; }\n"
    ".dashed { stroke-dasharray: 7 5; }\n";

double nines(double recall) { return -std::log10(1 - recall); }

struct Axes {
    double width = 0;                   // of the panel
    double y_low = 0, y_high = 1;       // decimal logarithms

    double x(double recall) const {
        const double at = nines(std::min(recall, 0.99999)) - nines(recall_low);
        return left + at / (nines(recall_high) - nines(recall_low)) * (width - left - right);
    }
    double y(double value) const {
        return panel_height - bottom - (std::log10(value) - y_low) / (y_high - y_low) * (panel_height - top - bottom);
    }
};

bool in_sight(double recall) { return recall >= recall_low && recall <= recall_high; }

Axes axes_for(const Panel &panel, double width) {
    double least = 0, most = 0;
    for (const Curve &curve : panel.curves) {
        for (const auto &[recall, speed] : curve.points) {
            if (!curve.flat && !in_sight(recall)) continue;
            least = least == 0 ? speed : std::min(least, speed);
            most = std::max(most, speed);
        }
    }
    if (most == 0) least = 1, most = 10;
    const double room = 0.05 * std::log10(most / least) + 0.05;
    return {width, std::log10(least) - room, std::log10(most) + room};
}

std::string x_axis(const Axes &axes, const std::string &label) {
    std::string svg;
    for (const double tick : {0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999}) {
        const double x = axes.x(tick);
        svg += svg_line(x, top, x, panel_height - bottom, "grid");
        svg += svg_text(x, panel_height - bottom + 18, "tick mid", format("%g", tick));
    }
    svg += svg_line(left, panel_height - bottom, axes.width - right, panel_height - bottom, "frame");
    return svg + svg_text((left + axes.width - right) / 2, panel_height - 18, "axis mid", label);
}

std::string y_axis(const Axes &axes, const std::string &label) {
    std::string svg;
    for (double power = std::floor(axes.y_low); power <= axes.y_high; ++power) {
        for (int factor = 1; factor <= 9; ++factor) {
            const double value = factor * std::pow(10.0, power);
            if (std::log10(value) < axes.y_low || std::log10(value) > axes.y_high) continue;
            const bool labelled = factor == 1 || factor == 2 || factor == 5;
            svg += svg_line(left, axes.y(value), axes.width - right, axes.y(value), labelled ? "grid" : "faint");
            if (labelled) svg += svg_text(left - 8, axes.y(value) + 4, "tick end", tools::short_number(value));
        }
    }
    svg += svg_line(left, top, left, panel_height - bottom, "frame");
    return svg + format("<g transform=\"translate(20 %.1f) rotate(-90)\">", (top + panel_height - bottom) / 2) +
           svg_text(0, 0, "axis mid", label) + "</g>\n";
}

std::string curve_class(const Curve &curve, bool first) {
    return std::string("curve") + (first ? " first" : "") + (curve.dashed ? " dashed" : "");
}

std::string curve_svg(const Axes &axes, const Curve &curve, bool first) {
    std::string path, dots;
    for (const auto &[recall, speed] : curve.points) {
        const double y = axes.y(speed);
        if (curve.flat) path = format("%.1f,%.1f %.1f,%.1f", left, y, axes.width - right, y);
        else path += format("%s%.1f,%.1f", path.empty() ? "" : " ", axes.x(recall), y);
        if (curve.flat || !in_sight(recall)) continue;
        dots += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\" fill=\"%s\"><title>%s: %.4f, %.0f</title></circle>\n",
                       axes.x(recall), y, first ? 3.4 : 2.4, curve.colour.c_str(),
                       tools::svg_escaped(curve.name).c_str(), recall, speed);
    }
    return format("<polyline class=\"%s\" stroke=\"%s\" points=\"", curve_class(curve, first).c_str(),
                  curve.colour.c_str()) + path + "\"/>\n" + dots;
}

std::string panel_svg(const Chart &chart, const Panel &panel, double width) {
    const Axes axes = axes_for(panel, width);
    std::string svg = svg_text(left, 20, "panel", panel.title) + svg_text(left, 37, "subtitle", panel.note);
    svg += x_axis(axes, chart.x_label) + y_axis(axes, chart.y_label) + "<g clip-path=\"url(#inside)\">\n";
    for (size_t i = panel.curves.size(); i-- > 0;) svg += curve_svg(axes, panel.curves[i], i == 0);
    return svg + "</g>\n";
}

// Every curve of any panel, once.
std::vector<Curve> legend_of(const Chart &chart) {
    std::vector<Curve> all;
    for (const Panel &panel : chart.panels) {
        for (const Curve &curve : panel.curves) {
            const auto same = [&](const Curve &other) { return other.name == curve.name; };
            if (std::none_of(all.begin(), all.end(), same)) all.push_back(curve);
        }
    }
    return all;
}

std::string legend_svg(const std::vector<Curve> &curves, size_t columns, double column_width) {
    std::string svg;
    for (size_t i = 0; i < curves.size(); ++i) {
        const double x = left + column_width * static_cast<double>(i % columns);
        const double y = head + legend_line * static_cast<double>(i / columns);
        svg += format("<polyline class=\"%s\" stroke=\"%s\" points=\"%.1f,%.1f %.1f,%.1f\"/>\n",
                      curve_class(curves[i], i == 0).c_str(), curves[i].colour.c_str(), x, y, x + 34, y);
        svg += svg_text(x + 42, y + 5, "name", curves[i].name);
    }
    return svg;
}

} // namespace

std::string chart_svg(const Chart &chart) {
    const std::vector<Curve> curves = legend_of(chart);
    const size_t across = chart.panels.size() > 1 ? 2 : 1, down = (chart.panels.size() + across - 1) / across;
    const double panel_width = across == 1 ? 860 : 560, width = panel_width * static_cast<double>(across);
    const size_t legend_columns = width < 1000 ? 3 : 4;
    const double legend_width = (width - left - right) / static_cast<double>(legend_columns);
    const double legend_lines = static_cast<double>((curves.size() + legend_columns - 1) / legend_columns);
    const double panels_top = head + legend_line * legend_lines + 6;
    const double height = panels_top + panel_height * static_cast<double>(down) + foot;

    std::string svg = tools::svg_begin(width, height, chart.title, style);
    svg += format("<clipPath id=\"inside\"><rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\"/></clipPath>\n",
                  left, top, panel_width - left - right, panel_height - top - bottom);
    svg += svg_text(left, 34, "title", chart.title) + svg_text(left, 56, "subtitle", chart.subtitle);
    svg += legend_svg(curves, legend_columns, legend_width);
    for (size_t i = 0; i < chart.panels.size(); ++i) {
        svg += format("<g transform=\"translate(%g %g)\">\n", panel_width * static_cast<double>(i % across),
                      panels_top + panel_height * static_cast<double>(i / across));
        svg += panel_svg(chart, chart.panels[i], panel_width) + "</g>\n";
    }
    return svg + "</svg>\n";
}

} // namespace bench
