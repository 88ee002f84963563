// Several panels of curves as one SVG picture, with one legend: speed, logarithmic, against recall, by its nines.
//
// Invariants: as of plot.hpp. The recall axis is logarithmic in what is missing to 1 and ends at 0.9995; curves leave
// the panel there and at its lower end.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Curve {
    std::string name, colour;
    bool dashed = false;
    bool flat = false;          // one speed whatever the recall: a line across
    std::vector<std::pair<double, double>> points;      // recall, queries a second, by rising recall
};

struct Panel {
    std::string title, note;
    std::vector<Curve> curves;      // those that come first are drawn on top
};

struct Chart {
    std::string title, subtitle, x_label, y_label;
    std::vector<Panel> panels;
};

std::string chart_svg(const Chart &chart);

} // namespace bench
