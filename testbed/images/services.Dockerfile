# What the internet is to a real server: a certificate authority (Pebble), name servers, an image registry.
ARG BASE
FROM ${BASE}
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
      pebble docker-registry openssl curl nghttp2-client bind9 \
 && rm /usr/sbin/policy-rc.d
COPY services/ /
RUN systemctl enable pebble.service pebble-dns.service testbed-registry.service \
 && systemctl disable docker-registry.service named.service
