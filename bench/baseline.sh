#!/usr/bin/env bash
# What an administrator would type to get the ledger live on a bare Debian 12: the yardstick for site.yml.
# run.py pipes it over SSH to root's bash, after a few assignments (image, domains, acme_url, acme_ca, registry,
# database_url, api_token). The same packages, the same kind of configuration and the same sandbox as the roles; one
# thing after the other, as in any such script. Not idempotent, no check mode, no undo: that is the point of roles.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022

step() { echo "@ $EPOCHREALTIME $1"; }
: "${image:?}" "${domains:?}" "${acme_url:?}" "${acme_ca:?}" "${registry:?}" "${database_url:?}" "${api_token:?}"
read -ra names <<<"$domains"
domain=${names[0]}
webroot=/var/lib/quayside/acme

step packages
# Before the package, so that the engine starts once and with its configuration in place.
mkdir -p /etc/docker
cat >/etc/docker/daemon.json <<JSON
{
    "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}, {"base": "10.234.0.0/16", "size": 24}],
    "icc": false,
    "insecure-registries": ["$registry"],
    "ip": "127.0.0.1",
    "live-restore": true,
    "log-driver": "local",
    "log-opts": {"max-file": "3", "max-size": "10m"},
    "no-new-privileges": true,
    "userland-proxy": false
}
JSON
# As apt's cache_valid_time in site.yml: lists of today are new enough.
[ -n "$(find /var/lib/apt/lists -maxdepth 0 -mtime -1)" ] || apt-get -qq update
apt-get -qq -y --no-install-recommends install \
    docker.io apparmor ca-certificates iptables python3-docker python3-requests \
    nginx certbot openssl ufw git python3-psycopg2 postgresql-client >/dev/null
systemctl --quiet enable --now docker.service

step firewall
ufw allow 22/tcp comment ssh >/dev/null
ufw allow 80/tcp comment HTTP >/dev/null
ufw allow 443/tcp comment HTTPS >/dev/null
ufw default deny incoming >/dev/null
ufw default allow outgoing >/dev/null
ufw --force enable >/dev/null

step nginx
mkdir -p "$webroot" /etc/nginx/sites
cat >/etc/nginx/nginx.conf <<'NGINX'
user www-data;
pid /run/nginx.pid;
worker_processes auto;
worker_rlimit_nofile 9216;
worker_shutdown_timeout 600s;
error_log /var/log/nginx/error.log;
include modules-enabled/*.conf;

events {
    worker_connections 4096;
}

http {
    include mime.types;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    server_tokens off;
    keepalive_timeout 65s;
    server_names_hash_bucket_size 128;

    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;

    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_min_length 1024;
    gzip_types application/javascript application/json image/svg+xml text/css text/javascript text/plain text/xml;

    map $http_upgrade $connection_upgrade {
        default upgrade;
        '' '';
    }

    server {
        listen 80 default_server;
        listen [::]:80 default_server;
        server_name _;
        location ^~ /.well-known/acme-challenge/ {
            root /var/lib/quayside/acme;
            default_type text/plain;
            try_files $uri =404;
        }
        location / {
            return 444;
        }
    }

    server {
        listen 443 ssl http2 default_server;
        listen [::]:443 ssl http2 default_server;
        server_name _;
        ssl_reject_handshake on;
        return 421;
    }

    include sites/*.conf;
}
NGINX
nginx -t -q
systemctl reload nginx.service

step certificate
# The ACME server of the test has a CA of its own; renewals have to trust it too.
printf '%s\n' "$acme_ca" >/etc/letsencrypt/private-ca.pem
mkdir -p /etc/systemd/system/certbot.service.d /etc/letsencrypt/renewal-hooks/deploy
cat >/etc/systemd/system/certbot.service.d/private-ca.conf <<'UNIT'
[Service]
Environment=REQUESTS_CA_BUNDLE=/etc/letsencrypt/private-ca.pem
UNIT
cat >/etc/letsencrypt/renewal-hooks/deploy/reload-nginx <<'SH'
#!/bin/sh
nginx -t -q && systemctl reload nginx.service
SH
chmod 0755 /etc/letsencrypt/renewal-hooks/deploy/reload-nginx
REQUESTS_CA_BUNDLE=/etc/letsencrypt/private-ca.pem certbot certonly --quiet --non-interactive --agree-tos \
    --register-unsafely-without-email --server "$acme_url" --webroot --webroot-path "$webroot" \
    --key-type ecdsa --elliptic-curve secp256r1 --cert-name ledger "${names[@]/#/--domain=}"
systemctl daemon-reload
systemctl --quiet enable --now certbot.timer

step site
# Two phases, because nginx refuses a server whose certificate is not there yet.
cat >/etc/nginx/sites/ledger.conf <<NGINX
upstream ledger {
    server 127.0.0.1:21000 max_fails=0;
    keepalive 32;
    keepalive_timeout 1s;
}

server {
    listen 80;
    listen [::]:80;
    server_name $domains;
    access_log /var/log/nginx/ledger.access.log;
    location ^~ /.well-known/acme-challenge/ {
        root $webroot;
        default_type text/plain;
        try_files \$uri =404;
    }
    location / {
        return 308 https://\$host\$request_uri;
    }
}

server {
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name ${names[*]:1};
    ssl_certificate /etc/letsencrypt/live/ledger/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/ledger/privkey.pem;
    return 308 https://$domain\$request_uri;
}

server {
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name $domain;
    ssl_certificate /etc/letsencrypt/live/ledger/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/ledger/privkey.pem;
    access_log /var/log/nginx/ledger.access.log;
    add_header Strict-Transport-Security max-age=63072000 always;
    add_header X-Content-Type-Options nosniff always;
    add_header X-Frame-Options SAMEORIGIN always;
    add_header Referrer-Policy strict-origin-when-cross-origin always;
    location / {
        proxy_pass http://ledger;
        proxy_http_version 1.1;
        proxy_set_header Host \$host;
        proxy_set_header X-Real-IP \$remote_addr;
        proxy_set_header X-Forwarded-For \$remote_addr;
        proxy_set_header X-Forwarded-Proto \$scheme;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$connection_upgrade;
    }
}
NGINX
nginx -t -q
systemctl reload nginx.service

step backup
install -d -m 0700 /etc/ledger /var/backups/ledger
# libpq's own variables, so that the password stands in no command line.
[[ $database_url =~ ^postgresql://([^:]+):([^@]+)@([^/]+)/(.+)$ ]]
(
    umask 077
    printf '%s\n' "PGUSER=${BASH_REMATCH[1]}" "PGPASSWORD=${BASH_REMATCH[2]}" "PGHOST=${BASH_REMATCH[3]}" \
        "PGDATABASE=${BASH_REMATCH[4]}" >/etc/ledger/backup.env
)
cat >/usr/local/sbin/ledger-backup <<'SH'
#!/bin/bash
set -euo pipefail
umask 077
cd /var/backups/ledger
dump=ledger-$(date -u +%Y%m%dT%H%M%SZ).dump
trap 'rm -f "$dump.part"' EXIT
pg_dump --format custom --file "$dump.part"
pg_restore --file /dev/null "$dump.part"
sync "$dump.part"
mv "$dump.part" "$dump"
sha256sum "$dump" >"$dump.sha256"
find . -name 'ledger-*.dump*' -mtime +30 -delete
SH
chmod 0755 /usr/local/sbin/ledger-backup
cat >/etc/systemd/system/ledger-backup.service <<'UNIT'
[Unit]
Description=Backup of the ledger's database
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
EnvironmentFile=/etc/ledger/backup.env
ExecStart=/usr/local/sbin/ledger-backup
Nice=10
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=strict
ReadWritePaths=/var/backups/ledger
UNIT
cat >/etc/systemd/system/ledger-backup.timer <<'UNIT'
[Unit]
Description=Backup of the ledger's database every night
[Timer]
OnCalendar=*-*-* 03:00
Persistent=true
RandomizedDelaySec=300
[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl --quiet enable --now ledger-backup.timer

step image
docker pull --quiet "$image" >/dev/null

step migrate
(
    umask 077
    printf '%s\n' APP_ENV=bench LEDGER_FAULT=slow_start:0.4 "DATABASE_URL=$database_url" "LEDGER_API_TOKEN=$api_token" >/etc/ledger/app.env
)
docker network create ledger >/dev/null
sandbox=(
    --init --read-only --tmpfs '/tmp:rw,nosuid,nodev,mode=1777,size=64m' --cap-drop ALL
    --security-opt no-new-privileges --env-file /etc/ledger/app.env --network ledger
)
limits=(--memory 512m --memory-swap 512m --pids-limit 512 --stop-timeout 30 --restart unless-stopped)
docker run --rm "${sandbox[@]}" "$image" alembic upgrade heads >/dev/null 2>&1

step app
docker run --detach --name ledger-web "${sandbox[@]}" "${limits[@]}" \
    --publish 127.0.0.1:21000:8000 "$image" >/dev/null
docker run --detach --name ledger-worker "${sandbox[@]}" "${limits[@]}" "$image" python -m ledger.worker >/dev/null

step health
# On loopback the way is to be proved; run.py proves the certificate from outside.
for _ in $(seq 600); do
    if printf 'GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$domain" |
        openssl s_client -quiet -connect 127.0.0.1:443 -servername "$domain" 2>/dev/null |
        grep '^HTTP/1.1 200' >/dev/null; then
        step end
        exit 0
    fi
    sleep 0.1
done
echo "the ledger is not healthy after a minute" >&2
exit 1
