# One image for every role: `usersd run | api | projector | relay | mailer | sweeper`, and `usersd migrate`.
#
#   docker build -t usersd:0.1.0 \
#     --build-arg USERSD_COMMIT="$(git rev-parse HEAD)" --build-arg USERSD_BUILD_TIME="$(date -u +%FT%TZ)" .
#
# The base has the Python that every test runs on. Its tag moves with security fixes; to build from the same bytes
# again, give the digest that you have checked: --build-arg BASE=python@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/var/cache/pip
WORKDIR /src

# The dependencies change less often than the sources, so they are a layer of their own.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --only-binary :all: -r requirements/build.txt
# Without pip in it: nothing is ever installed into what runs.
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/usersd \
    && /opt/build/bin/python -m pip --python /opt/usersd/bin/python install --require-hashes --only-binary :all: \
       -r requirements/runtime.txt

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY domain domain
COPY application application
COPY projections projections
COPY interfaces interfaces
COPY infrastructure infrastructure
ARG USERSD_COMMIT=unknown
ARG USERSD_BUILD_TIME=unknown
RUN --mount=type=cache,target=/var/cache/pip \
    USERSD_COMMIT="$USERSD_COMMIT" USERSD_BUILD_TIME="$USERSD_BUILD_TIME" \
    /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheels . \
    && /opt/build/bin/python -m pip --python /opt/usersd/bin/python install --no-deps /src/wheels/*.whl

FROM ${BASE}
ARG USERSD_COMMIT=unknown
ARG USERSD_BUILD_TIME=unknown
LABEL org.opencontainers.image.title="usersd" \
      org.opencontainers.image.description="An event-sourced users service with the HTTP contract of Mainflux and Magistrala Users" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${USERSD_COMMIT}" \
      org.opencontainers.image.created="${USERSD_BUILD_TIME}" \
      org.opencontainers.image.licenses="Apache-2.0"

# Owned by root and never written to; the folder of the data is all that the service's user may write.
COPY --from=build /opt/usersd /opt/usersd
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/usersd

# The user has no entry in /etc/passwd, so that it is told where it lives and what it is called.
ENV PATH=/opt/usersd/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/usersd \
    USER=usersd \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MG_USERS_DATA_DIR=/var/lib/usersd \
    MG_USERS_HTTP_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/usersd
EXPOSE 9002 7001 7002 9012 9013 9014 9015
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["usersd", "health"]
ENTRYPOINT ["usersd"]
CMD ["run"]
