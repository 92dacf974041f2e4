# A database server as a colleague would hand it over: PostgreSQL listens on the private network, passwords only as SCRAM.
ARG BASE
FROM ${BASE}
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql python3-psycopg2 \
 && rm /usr/sbin/policy-rc.d \
 && cd /etc/postgresql/*/main \
 && printf "listen_addresses = '*'\npassword_encryption = 'scram-sha-256'\n" > conf.d/testbed.conf \
 && echo 'host all all samenet scram-sha-256' >> pg_hba.conf
