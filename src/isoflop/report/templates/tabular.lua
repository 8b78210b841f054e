-- Markdown tables as LaTeX cells, a mark before each part: isoflop.report.latex lays them out. A part
-- is one line, and a mark starts with a per cent sign, which pandoc escapes in any text of a table.

local ALIGN = { AlignLeft = "l", AlignRight = "r", AlignCenter = "c", AlignDefault = "l" }

local function latex(blocks)
  local text = pandoc.write(pandoc.Pandoc(blocks), "latex")
  return (text:gsub("%s*\n%s*", " "):gsub("^%s+", ""):gsub("%s+$", ""))
end

local FLAT = {
  Str = function(el)
    if el.text == "⏎" then
      return pandoc.RawInline("latex", "%BREAK ")
    end
  end,
  Note = function()
    return {}
  end,
  -- a paper has neither the page's links nor its classes
  Link = function(el)
    return el.content
  end,
  Span = function(el)
    return el.classes:includes("links") and {} or el.content
  end,
}

-- the number is the paper's own
local function unnumbered(blocks)
  return blocks:walk({
    Strong = function(el)
      if pandoc.utils.stringify(el):match("^Table %d+%.$") then
        return {}
      end
    end,
  })
end

local out = {}

local function part(mark, text)
  table.insert(out, "%" .. mark)
  if text then
    table.insert(out, text)
  end
end

local function written(el)
  part("ISOFLOPTABLE", (el.identifier:gsub("^tbl%-", "")))
  part("CAPTION", latex(unnumbered(el.caption.long):walk(FLAT)))
  for _, head in ipairs(el.head.rows) do
    for index, cell in ipairs(head.cells) do
      part("HEAD", ALIGN[tostring(el.colspecs[index][1])] or "l")
      table.insert(out, latex(cell.contents:walk(FLAT)))
    end
  end
  for _, body in ipairs(el.bodies) do
    for _, cells in ipairs(body.body) do
      part("ROW")
      for _, cell in ipairs(cells.cells) do
        part("CELL", latex(cell.contents:walk(FLAT)))
      end
    end
  end
end

local function is_note(block)
  local first = block.t == "Para" and block.content[1]
  return first and first.t == "Span" and first.classes:includes("note")
end

function Pandoc(doc)
  for _, block in ipairs(doc.blocks) do
    if block.t == "Table" then
      written(block)
    elseif #out > 0 and is_note(block) then
      part("NOTE", latex(pandoc.Blocks({ block }):walk(FLAT)))
    end
  end
  return pandoc.Pandoc({ pandoc.RawBlock("latex", table.concat(out, "\n")) })
end
