# Everything that a job of the workflow needs, from the pins (docs/clusters.md).
#
# The image below has no digest: it gets Debian's security fixes, and the bytes of the reports
# depend on the pins and on Python 3.13, not on it.
FROM python:3.13-slim-bookworm

# git: Snakemake asks for the revision of the checkout that is mounted into the container
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/isoflop
COPY requirements-uv.lock requirements.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-uv.lock \
    && python -m uv pip install --system --compile-bytecode --require-hashes -r requirements.lock
COPY pyproject.toml hatch_build.py README.md LICENSE CITATION.cff Snakefile config.yaml run.py constraints-train.txt ./
COPY rules rules
COPY workflow workflow
COPY data/reference data/reference
COPY src src
RUN python -m uv pip install --system --no-deps --no-build-isolation .

# `docker run --user` has no home, where Snakemake would keep its cache: anybody may write here
RUN mkdir --mode=1777 /var/cache/isoflop
ENV XDG_CACHE_HOME=/var/cache/isoflop

# a folder with data/raw is mounted here, and reports go there; in a checkout `snakemake` alone takes its rules
WORKDIR /project
CMD ["snakemake", "--snakefile", "/opt/isoflop/Snakefile", "--cores", "all"]
