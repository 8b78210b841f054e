-- What Markdown cannot say: line breaks in cells, alternative texts of figures and formulas, header
-- cells with a scope, and SVG inside the page. One filter for both outputs.

local svg_folder = os.getenv("ISOFLOP_FIGURES") or "."

-- a formula in words, for readers who hear it
local function spoken(tex)
  local words = tex
  words = words:gsub("\\text%s*{(%a+)}", "%1")
  words = words:gsub("\\frac%s*{(%b{})}", "%1")
  words = words:gsub("\\left", ""):gsub("\\right", ""):gsub("\\q?quad", " ")
  words = words:gsub("\\frac", "fraction "):gsub("\\propto", " proportional to ")
  words = words:gsub("\\times", " times "):gsub("\\(%a+)", "%1")
  words = words:gsub("%^", " to the power "):gsub("_", " sub ")
  words = words:gsub("[{}]", " "):gsub("%s+", " ")
  return (words:gsub("^%s+", ""):gsub("%s+$", ""))
end

local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"'
end

function Str(el)
  if el.text == "⏎" then
    return pandoc.LineBreak()
  end
end

-- a number stays on the line of its percent sign
function Inlines(inlines)
  for place = 2, #inlines - 1 do
    local blank, sign = inlines[place], inlines[place + 1]
    if (blank.t == "Space" or blank.t == "SoftBreak") and sign.t == "Str" and sign.text:match("^%%") then
      inlines[place] = pandoc.Str("\u{a0}")
    end
  end
  return inlines
end

-- files beside the page are not beside whoever reads the PDF
function Link(el)
  if FORMAT == "typst" and not el.target:match("^#") and not el.target:match("^https://") then
    return el.content
  end
end

function Math(el)
  if FORMAT ~= "typst" then
    return nil
  end
  local body = pandoc.write(pandoc.Pandoc({ pandoc.Plain({ el }) }), "typst")
  body = body:gsub("%s+$", ""):gsub("^%s+", "")
  return pandoc.RawInline("typst", "#[#set math.equation(alt: " .. quoted(spoken(el.text)) .. ")\n" .. body .. "]")
end

function Span(el)
  if FORMAT == "typst" and el.classes:includes("links") then
    return {}
  end
  if FORMAT == "typst" and (el.classes:includes("ci") or el.classes:includes("note") or el.classes:includes("what")) then
    local open = pandoc.RawInline("typst", "#" .. el.classes[1] .. "[")
    return { open, pandoc.Span(el.content), pandoc.RawInline("typst", "]") }
  end
end

local function fold(el)
  local title = el.attributes["summary"]
  el.attributes["summary"] = nil
  el.classes = {}
  if FORMAT == "typst" then
    local open = pandoc.RawBlock("typst", "#fold(" .. quoted(title) .. ")[")
    return { open, el, pandoc.RawBlock("typst", "]") }
  end
  local blocks = pandoc.List({ pandoc.RawBlock("html", "<details class=\"fold\"><summary>" .. title .. "</summary>") })
  blocks:extend({ el, pandoc.RawBlock("html", "</details>") })
  return blocks
end

-- a formula wider than a phone scrolls, and so must be reached by keyboard
local formulas = 0
local function scrolling(el)
  el.content = el.content:map(function(block)
    if block.t ~= "Para" or #block.content ~= 1 or block.content[1].t ~= "Math" then
      return block
    end
    formulas = formulas + 1
    local label = "Formula " .. formulas .. ", scrolls sideways"
    local region = { { "tabindex", "0" }, { "role", "region" }, { "aria-label", label } }
    return pandoc.Div({ block }, pandoc.Attr("", { "scroller" }, region))
  end)
  return el
end

function Div(el)
  if FORMAT ~= "typst" and el.classes:includes("together") then
    return scrolling(el)
  end
  if el.classes:includes("fold") then
    return fold(el)
  end
  -- neither asks nor leads anywhere on paper
  if FORMAT == "typst" and (el.identifier == "calculator" or el.identifier == "files") then
    return {}
  end
  if el.classes:includes("contents") then
    return FORMAT == "typst" and pandoc.RawBlock("typst", "#contents") or {}
  end
  for _, name in ipairs({ "first", "said", "shown" }) do
    if FORMAT == "typst" and el.classes:includes(name) then
      return el.content
    end
  end
  for _, wrap in ipairs({ { "headline", "#headline(", ")" }, { "number", "[", "]," } }) do
    if FORMAT == "typst" and el.classes:includes(wrap[1]) then
      local blocks = pandoc.List({ pandoc.RawBlock("typst", wrap[2]) })
      blocks:extend(el.content)
      blocks:insert(pandoc.RawBlock("typst", wrap[3]))
      return blocks
    end
  end
  for _, name in ipairs({ "callout", "reason", "together" }) do
    if FORMAT == "typst" and el.classes:includes(name) then
      local open = pandoc.RawBlock("typst", "#" .. name .. "[")
      return { open, pandoc.Div(el.content), pandoc.RawBlock("typst", "]") }
    end
  end
end

-- a table may say how its columns share the page: widths="3 1 1"
local function shared(el)
  local shares, total = {}, 0
  for share in (el.attributes["widths"] or ""):gmatch("[%d.]+") do
    table.insert(shares, tonumber(share))
    total = total + tonumber(share)
  end
  el.attributes["widths"] = nil
  if #shares == #el.colspecs and FORMAT == "typst" then
    for index, column in ipairs(el.colspecs) do
      column[2] = shares[index] / total
    end
  end
  return el
end

-- classes whose tables may break over pages
local BREAKING = { dense = true, prose = true }

-- such a table leaves no single row on either side of a break: cells of one more column, which has
-- no width, span its first two rows and its last two, and no cell breaks
local function paired(el)
  local function blank(rows)
    return pandoc.Cell({}, "AlignDefault", rows, 1, { ["typst:inset"] = "0pt" })
  end
  local rows = pandoc.List({})
  for _, body in ipairs(el.bodies) do
    rows:extend(body.body)
  end
  for place, row in ipairs(rows) do
    if #rows < 4 then
      if place == 1 then
        row.cells:insert(blank(#rows))
      end
    elseif place == 1 or place == #rows - 1 then
      row.cells:insert(blank(2))
    elseif place ~= 2 and place ~= #rows then
      row.cells:insert(blank(1))
    end
  end
  for _, row in ipairs(el.head.rows) do
    row.cells:insert(blank(1))
  end
  el.colspecs:insert({ "AlignDefault", 0 })
  return el
end

-- the first column names its row, the head names its column
function Table(el)
  local typst_class = nil
  el = shared(el)
  for _, name in ipairs({ "wide", "dense", "prose" }) do
    if el.classes:includes(name) then
      typst_class = name
    end
  end
  if FORMAT == "typst" then
    if BREAKING[typst_class] then
      el = paired(el)
    end
    if typst_class then
      return {
        pandoc.RawBlock("typst", "#" .. typst_class .. "["),
        el,
        pandoc.RawBlock("typst", "]"),
      }
    end
    return nil
  end
  for _, row in ipairs(el.head.rows) do
    for _, cell in ipairs(row.cells) do
      cell.attributes["scope"] = "col"
    end
  end
  for _, body in ipairs(el.bodies) do
    body.row_head_columns = 1
    for _, row in ipairs(body.body) do
      row.cells[1].attributes["scope"] = "row"
    end
  end
  local classes = "table" .. (typst_class and (" " .. typst_class) or "")
  if #el.caption.long == 0 then
    return pandoc.Div({ el }, { class = classes })
  end
  -- the caption stands outside what scrolls, and names it for those who tab to it
  local named = el.identifier .. "-caption"
  local caption = pandoc.Div(el.caption.long, pandoc.Attr(named, { "caption" }))
  el.caption = { long = {} }
  el.attributes["aria-labelledby"] = named
  -- a list of pairs: the order of a table's keys differs from run to run
  local region = { { "tabindex", "0" }, { "role", "region" }, { "aria-labelledby", named } }
  local scroller = pandoc.Div({ el }, pandoc.Attr("", { "scroller" }, region))
  for _, name in ipairs({ "answer", "sortable" }) do
    if el.classes:includes(name) then
      classes = classes .. " " .. name
    end
  end
  return pandoc.Div({ caption, scroller }, { class = classes })
end

-- how many blocks from here on are a table that does not break over pages; 0 where none starts
local function whole_table(blocks, from)
  local block = blocks[from]
  if block == nil then
    return 0
  end
  if block.t == "Table" then
    return 1
  end
  return block.t == "RawBlock" and block.text == "#wide[" and 3 or 0
end

-- Typst keeps a heading with what follows, but not with a table that moves to the next page for the
-- sake of its footnotes
function Blocks(blocks)
  if FORMAT ~= "typst" then
    return nil
  end
  local kept, from = pandoc.List({}), 1
  while from <= #blocks do
    local after = from
    while blocks[after] ~= nil and blocks[after].t == "Header" do
      after = after + 1
    end
    local more = after > from and whole_table(blocks, after) or 0
    if more > 0 then
      kept:insert(pandoc.RawBlock("typst", "#together["))
    end
    for place = from, math.max(after - 1, from) + more do
      kept:insert(blocks[place])
    end
    if more > 0 then
      kept:insert(pandoc.RawBlock("typst", "]"))
    end
    from = math.max(after, from + 1) + more
  end
  return kept
end

local function read_svg(source)
  local file = assert(io.open(svg_folder .. "/" .. source, "r"))
  local text = file:read("a")
  file:close()
  -- the page has the faces itself
  text = text:gsub('<style class="faces">[^<]*</style>\n', "", 1)
  return (text:gsub("^.-<svg", "<svg", 1))
end

local function alternative(figure)
  local found = ""
  figure:walk({
    Image = function(el)
      found = el.attributes["alt"] or pandoc.utils.stringify(el.caption)
    end,
  })
  return found
end

local function source_of(figure)
  local found = nil
  figure:walk({
    Image = function(el)
      found = el.src
    end,
  })
  return found
end

-- figures of one panel, or of few words, need no whole width of a page
local PRINTED_WIDTHS = {
  ["fig-answer"] = "54%",
  ["fig-design"] = "62%",
  ["fig-training-curves"] = "90%",
  ["fig-isoflop-profiles"] = "90%",
  ["fig-parametric-fit"] = "76%",
  ["fig-laws"] = "80%",
  ["fig-exponents"] = "76%",
  ["fig-forecast"] = "72%",
  ["fig-bend"] = "76%",
  ["fig-check-curves"] = "76%",
  ["fig-check-pair"] = "64%",
  ["fig-allocations"] = "66%",
  ["fig-predictions"] = "76%",
  ["fig-residuals"] = "84%",
  ["fig-specifications"] = "92%",
}

-- the share of a page's height, beside its width's, that a printed figure may take to stand where the
-- text puts it: it leaves no third of a page empty, and parts no sentence of another paragraph; a
-- taller one floats
local LOW = 0.385

local function printed_height(source, width)
  local box = read_svg(source):match('viewBox="([^"]*)"') or ""
  local wide, high = box:match("([%d.]+)%s+([%d.]+)%s*$")
  if not wide then
    return math.huge
  end
  return tonumber(high) / tonumber(wide) * tonumber((width:gsub("%%", ""))) / 100
end

function Figure(el)
  local alt, source = alternative(el), source_of(el)
  if FORMAT == "typst" then
    local caption = pandoc.write(pandoc.Pandoc(el.caption.long), "typst-citations"):gsub("%s+$", "")
    local width = PRINTED_WIDTHS[el.identifier] or "100%"
    local stays = printed_height(source, width) <= LOW
    local place = stays and "\n  placement: none," or ""
    if el.identifier == "fig-answer" then
      -- at the foot of the first page, or of the next where its table is long: text fills the page
      place = "\n  placement: bottom,"
    end
    local size = ", width: " .. width
    return pandoc.RawBlock(
      "typst",
      "#figure(image(" .. quoted("/" .. source) .. ", alt: " .. quoted(alt) .. size .. "),"
        .. place .. "\n  caption: [" .. caption .. "])\n<" .. el.identifier .. ">\n"
    )
  end
  local label = alt:gsub("&", "&amp;"):gsub('"', "&quot;"):gsub("<", "&lt;")
  local svg = read_svg(source):gsub("<svg", function()
    return '<svg role="graphics-document" aria-label="' .. label .. '"'
  end, 1)
  local number = pandoc.utils.stringify(el.caption.long):match("^Figure %d+") or "Figure"
  local region = { { "tabindex", "0" }, { "role", "region" }, { "aria-label", number .. ", scrolls sideways" } }
  el.content = { pandoc.Div({ pandoc.RawBlock("html", svg) }, pandoc.Attr("", { "scroller" }, region)) }
  return el
end
