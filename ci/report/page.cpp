#include "ci/report/page.h"

#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "ci/report/results.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

// Every pair of text and background has a contrast of 4.5 : 1 or more, in both sets of colours; the
// browser test measures it. The dark ones are for screens only, so that paper stays white.
constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--paper:#fff;--panel:#f4f6f8;--ink:#1b1f24;--soft:#57606a;--line:#c9d1d9;
--link:#0550ae;--good:#116329;--bad:#a40e26;--warn:#7d4e00;--bar:#3b74d1;--heat:#8ec5ff}
@media screen and (prefers-color-scheme:dark){:root{--paper:#0d1117;--panel:#161b22;--ink:#e6edf3;
--soft:#9da7b3;--line:#3d444d;--link:#79c0ff;--good:#56d364;--bad:#ff9a92;--warn:#e3b341;--bar:#6ea8fe;
--heat:#1f4f8f}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:80rem;margin:0 auto;padding:1rem;
background:var(--paper);color:var(--ink);overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.25rem 0 .25rem}
p{margin:.4rem 0;max-width:70rem}
a{color:var(--link)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--link);outline-offset:2px}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:1rem 0}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.soft{color:var(--soft)}small{font-size:.85em}
.verdict{font-size:1.3rem;font-weight:700}
.note,.cause,.finding{background:var(--panel);border:1px solid var(--line);border-left:.4rem solid var(--warn);
border-radius:.4rem;padding:.5rem 1rem;margin:.75rem 0}
.cause,.finding{border-left-color:var(--bad)}.remark{border-left-color:var(--warn)}
.cause h2{margin-top:.25rem;border:0}.finding h3{margin-top:.25rem}
.badge{white-space:nowrap;font-weight:600}
.passed,.conformant,.same,.better{color:var(--good)}
.failed,.crashed,.timed-out,.error,.not-conformant,.worse{color:var(--bad)}
.slow{color:var(--warn)}.skipped,.blocked,.not-selected{color:var(--soft)}
code{font:.9em ui-monospace,monospace}
pre{font:.85rem/1.4 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0}
dl{display:grid;grid-template-columns:fit-content(40%) 1fr;gap:.15rem 1rem;margin:.4rem 0}
dt{color:var(--soft)}dd{margin:0}dt,dd{overflow-wrap:anywhere;min-width:0}
details{margin:.4rem 0}summary{cursor:pointer;padding:.2rem 0}
details>details,details>.scroll,details>p{margin-left:1rem}
.scroll{position:relative;overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
thead th{background:var(--panel)}tbody th{font-weight:500;min-width:12rem}
tbody th.group{background:var(--panel);font-weight:700;padding-top:.6rem}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.wide{min-width:18rem}td.chart{min-width:13rem;vertical-align:middle}
td.value{overflow-wrap:anywhere;min-width:12rem}
.matrix td,.matrix th{text-align:center}.matrix th,.matrix td{white-space:nowrap;min-width:0}
@media (min-width:40rem){.matrix caption{white-space:nowrap}}.matrix td{background:var(--panel);background:color-mix(in srgb,var(--heat) var(--share,0%),var(--paper));
font-variant-numeric:tabular-nums}
svg{display:block}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
.bar{width:100%;min-width:9rem;height:.8rem}.bar .scale{fill:var(--panel)}.bar .value{fill:var(--bar)}
.bar .bad{fill:var(--bad)}
.mark{stroke:var(--ink);stroke-width:2;vector-effect:non-scaling-stroke;fill:none}
.floor{stroke-dasharray:3 2}
.dots{width:12rem;height:1rem}.dots circle{fill:var(--bar);fill-opacity:.75}
.axis{stroke:var(--soft);fill:none;vector-effect:non-scaling-stroke}.grid{stroke:var(--line);fill:none}
.curve{width:40rem;max-width:none;height:auto}.curve .line{stroke:var(--bar);stroke-width:2;fill:none}
.curve circle{fill:var(--bar)}
@media print{body{font-size:11px;max-width:none;padding:0}nav,.skip{display:none}
details::details-content{content-visibility:visible;display:block;block-size:auto}
.scroll{overflow:visible}tr,.finding,.cause{break-inside:avoid}*{print-color-adjust:exact}}
)";

/// The sign beside an outcome.
std::string_view sign_of(std::string_view outcome) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kSigns{
      {{"passed", "✓"},
       {"conformant", "✓"},
       {"failed", "✗"},
       {"not-conformant", "✗"},
       {"slow", "◔"},
       {"skipped", "–"},
       {"blocked", "■"},
       {"crashed", "✗"},
       {"timed-out", "✗"},
       {"error", "✗"},
       {"worse", "✗"},
       {"same", "✓"}}};
  for (const auto& [name, sign] : kSigns) {
    if (name == outcome) return sign;
  }
  return "·";
}

}  // namespace

std::string cell(const Json& value) { return "<td>" + escape_xml(words(value)) + "</td>"; }

std::string number_cell(std::string_view text) {
  return "<td class=\"number\">" + escape_xml(text) + "</td>";
}

std::string row_heading(std::string_view text) {
  return "<th scope=\"row\">" + breakable(text) + "</th>";
}

std::string outcome_badge(std::string_view outcome) {
  const std::string name = escape_xml(outcome);
  return fmt::format("<span class=\"badge {0}\"><span aria-hidden=\"true\">{1}</span> {0}</span>",
                     name, sign_of(outcome));
}

std::string breakable(std::string_view name) {
  // No entity of escape_xml holds a capital letter.
  const std::string escaped = escape_xml(name);
  std::string result;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(escaped[at]); };
    if (i > 0 && std::isupper(byte(i)) && (std::islower(byte(i - 1)) || byte(i - 1) == '.')) {
      result += "<wbr>";
    }
    result += escaped[i];
  }
  return result;
}

std::string table(std::string_view caption, const std::vector<std::string_view>& columns,
                  const std::string& html) {
  std::string head;
  for (const std::string_view column : columns) {
    head += fmt::format("<th scope=\"col\">{}</th>", escape_xml(column));
  }
  return fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\"><table>"
      "<caption>{0}</caption><thead><tr>{1}</tr></thead>\n<tbody>{2}</tbody></table></div>\n",
      escape_xml(caption), head, html);
}

std::string folded(const std::string& summary_html, const std::string& html, bool open) {
  return fmt::format("<details{}><summary>{}</summary>\n{}</details>\n", open ? " open" : "",
                     summary_html, html);
}

std::string section(std::string_view id, std::string_view heading, const std::string& html) {
  return fmt::format("<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", escape_xml(id),
                     escape_xml(heading), html);
}

std::string page(std::string_view title, const std::string& html) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\"><meta name=\"color-scheme\" content=\"light dark\">"
      "<title>{}</title>\n<style>{}</style></head>\n<body>\n{}</body></html>\n",
      escape_xml(title), kStyle, html);
}

}  // namespace conformance::report
