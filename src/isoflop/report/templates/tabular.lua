-- A Markdown table as a bare booktabs tabular, to be \input into a paper.

local ALIGN = { AlignLeft = "l", AlignRight = "r", AlignCenter = "c", AlignDefault = "l" }

local function latex(blocks)
  local text = pandoc.write(pandoc.Pandoc(blocks), "latex")
  return (text:gsub("%s*\n%s*", " "):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function row(cells)
  local texts = {}
  for _, cell in ipairs(cells) do
    table.insert(texts, latex(cell.contents))
  end
  return table.concat(texts, " & ") .. " \\\\"
end

function Str(el)
  if el.text == "⏎" then
    return pandoc.Str(";")
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
      table.insert(out, "% " .. pandoc.utils.stringify(el.caption.long))
      table.insert(out, "\\begin{tabular}{@{}" .. table.concat(spec) .. "@{}}")
      table.insert(out, "\\toprule")
      for _, head in ipairs(el.head.rows) do
        table.insert(out, row(head.cells))
      end
      table.insert(out, "\\midrule")
      for _, body in ipairs(el.bodies) do
        for _, cells in ipairs(body.body) do
          table.insert(out, row(cells.cells))
        end
      end
      table.insert(out, "\\bottomrule")
      table.insert(out, "\\end{tabular}")
    end,
  })
  return pandoc.Pandoc({ pandoc.RawBlock("latex", table.concat(out, "\n")) })
end
