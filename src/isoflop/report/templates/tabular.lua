-- Markdown tables as bare booktabs tabulars, each to be \input into a paper, with a mark before each.

local ALIGN = { AlignLeft = "l", AlignRight = "r", AlignCenter = "c", AlignDefault = "l" }

local BREAK = "ISOFLOPBREAK"

-- no text of a table starts a line so: a caption's starts with "% "
local MARK = "%ISOFLOPTABLE"

-- lines of a cell stand below each other in a small tabular of their own: no package is needed
local function latex(blocks, align)
  local text = pandoc.write(pandoc.Pandoc(blocks), "latex")
  text = text:gsub("%s*\n%s*", " "):gsub("^%s+", ""):gsub("%s+$", "")
  if not text:find(BREAK, 1, true) then
    return text
  end
  local lines = text:gsub("%s*" .. BREAK .. "%s*", " \\\\ ")
  return "\\begin{tabular}[t]{@{}" .. align .. "@{}}" .. lines .. "\\end{tabular}"
end

local function row(cells, aligns)
  local texts = {}
  for index, cell in ipairs(cells) do
    table.insert(texts, latex(cell.contents, aligns[index]))
  end
  return table.concat(texts, " & ") .. " \\\\"
end

function Str(el)
  if el.text == "⏎" then
    return pandoc.Str(BREAK)
  end
end

function Note()
  return {}
end

function Pandoc(doc)
  local out = {}
  doc = doc:walk({ Str = Str, Note = Note })
  doc:walk({
    Table = function(el)
      local spec = {}
      for _, column in ipairs(el.colspecs) do
        table.insert(spec, ALIGN[tostring(column[1])] or "l")
      end
      local notes = pandoc.utils.stringify(el.caption.long):gsub("%s+", " ")
      table.insert(out, MARK)
      table.insert(out, "% " .. notes:gsub("^Table %d+%. ", ""))
      table.insert(out, "\\begin{tabular}{@{}" .. table.concat(spec) .. "@{}}")
      table.insert(out, "\\toprule")
      for _, head in ipairs(el.head.rows) do
        table.insert(out, row(head.cells, spec))
      end
      table.insert(out, "\\midrule")
      for _, body in ipairs(el.bodies) do
        for _, cells in ipairs(body.body) do
          table.insert(out, row(cells.cells, spec))
        end
      end
      table.insert(out, "\\bottomrule")
      table.insert(out, "\\end{tabular}")
    end,
  })
  return pandoc.Pandoc({ pandoc.RawBlock("latex", table.concat(out, "\n")) })
end
