# Used only when a registry answers; without one, build.sh makes the same system with mmdebstrap.
ARG RELEASE
FROM debian:${RELEASE}-slim
COPY ca-certificates.crt /tmp/
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ca-certificates python3 python3-venv \
 && mv /tmp/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
