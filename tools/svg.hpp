// The pieces that every SVG picture here is made of.
//
// Invariant: the text is well-formed XML whatever the strings hold.
#pragma once

#include "common.hpp"

#include <string>

namespace tools {

inline std::string svg_escaped(const std::string &text) {
    std::string out;
    for (const char c : text) {
        if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '&') out += "&amp;";
        else if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) out += '?';
        else out += c;
    }
    return out;
}

inline std::string svg_text(double x, double y, const char *style, const std::string &text) {
    return format("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, style, svg_escaped(text).c_str());
}

inline std::string svg_line(double x1, double y1, double x2, double y2, const char *style) {
    return format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, style);
}

inline std::string short_number(double value) {
    if (value >= 1e6) return format("%g M", value / 1e6);
    return value >= 1e3 ? format("%g k", value / 1e3) : format("%g", value);
}

// Classes of text and lines; a picture adds its own behind them.
inline const char *const svg_style =
    "text { font-family: -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif; fill: #1f2933; }\n"
    ".title { font-size: 19px; font-weight: 600; }\n"
    ".subtitle { font-size: 13px; fill: #52606d; }\n"
    ".axis { font-size: 14px; }\n"
    ".tick { font-size: 12px; fill: #52606d; }\n"
    ".note { font-size: 11px; fill: #7b8794; }\n"
    ".mid { text-anchor: middle; }\n"
    ".end { text-anchor: end; }\n"
    ".grid { stroke: #d9dee4; stroke-width: 1; }\n"
    ".faint { stroke: #eef1f4; stroke-width: 1; }\n"
    ".frame { stroke: #7b8794; stroke-width: 1.2; }\n";

// The opening of a picture: size, title for screen readers, styles, background.
inline std::string svg_begin(double width, double height, const std::string &title, const char *more_style) {
    return format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" "
                  "role=\"img\">\n<title>%s</title>\n", width, height, width, height, svg_escaped(title).c_str()) +
           "<style>\n" + svg_style + more_style + "</style>\n" +
           format("<rect width=\"%g\" height=\"%g\" fill=\"#fcfcfd\"/>\n", width, height);
}

} // namespace tools
