# One word each; run.py does the work and needs no make.
.PHONY: report test lint train archive clean
report test lint train archive clean:
	python3 run.py $@
