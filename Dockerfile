# A server for one model or several: docker build -t fullconv . && docker compose up
FROM python:3.12-slim

# Where only processors compute, --build-arg PIP_ARGS="--extra-index-url ..." with PyTorch's index for CPUs makes it much smaller
ARG PIP_ARGS=""
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir ${PIP_ARGS} '.[serve,export,polygons]' \
    && useradd --create-home --uid 10001 fullconv

USER fullconv
ENV FULLCONV_CACHE=/tmp/fullconv PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
ENTRYPOINT ["fullconv", "serve", "--host", "0.0.0.0"]
