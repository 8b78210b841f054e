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

function Math(el)
  if FORMAT ~= "typst" then
    return nil
  end
  local body = pandoc.write(pandoc.Pandoc({ pandoc.Plain({ el }) }), "typst")
  body = body:gsub("%s+$", ""):gsub("^%s+", "")
  return pandoc.RawInline("typst", "#[#set math.equation(alt: " .. quoted(spoken(el.text)) .. ")\n" .. body .. "]")
end

function Span(el)
  if FORMAT == "typst" and (el.classes:includes("ci") or el.classes:includes("note")) then
    local open = pandoc.RawInline("typst", "#" .. el.classes[1] .. "[")
    return { open, pandoc.Span(el.content), pandoc.RawInline("typst", "]") }
  end
end

function Div(el)
  for _, name in ipairs({ "callout", "reason" }) do
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
  return pandoc.Div({ el }, { class = "table" .. (typst_class and (" " .. typst_class) or "") })
end

local function read_svg(source)
  local file = assert(io.open(svg_folder .. "/" .. source, "r"))
  local text = file:read("a")
  file:close()
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

function Figure(el)
  local alt, source = alternative(el), source_of(el)
  if FORMAT == "typst" then
    local caption = pandoc.write(pandoc.Pandoc(el.caption.long), "typst"):gsub("%s+$", "")
    return pandoc.RawBlock(
      "typst",
      "#figure(image(" .. quoted("/" .. source) .. ", alt: " .. quoted(alt) .. "),\n  caption: ["
        .. caption .. "])\n<" .. el.identifier .. ">\n"
    )
  end
  local label = alt:gsub("&", "&amp;"):gsub('"', "&quot;"):gsub("<", "&lt;")
  local svg = read_svg(source):gsub("<svg", function()
    return '<svg role="img" aria-label="' .. label .. '"'
  end, 1)
  el.content = { pandoc.RawBlock("html", svg) }
  return el
end
