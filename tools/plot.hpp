// One curve as an SVG picture: a linear x axis of shares, a logarithmic y axis.
//
// Invariants: the text is well-formed XML whatever the strings hold. Every point lies within the axes. The picture
// brings its own light background and needs no fonts but the viewer's sans-serif.
#pragma once

#include <string>
#include <vector>

namespace tools {

struct PlotPoint {
    double x = 0;           // 0 to 1
    double y = 1;           // above 0
    std::string label;
};

struct Plot {
    std::string title, subtitle, x_label, y_label, point_note;
    std::vector<PlotPoint> points;      // in the order in which the line joins them
};

std::string plot_svg(const Plot &plot);

} // namespace tools
