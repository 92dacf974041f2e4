#!/bin/sh
# On the services host: a CA with certificates for the database servers, SSH keys for SFTP, an age identity.
set -eu
mkdir -p /srv/keys && cd /srv/keys
[ ! -e complete ] || exit 0
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj "/CN=scenario" 2>/dev/null
for host in debian12 debian13; do
    openssl req -newkey rsa:2048 -nodes -keyout $host.key -out $host.csr -subj "/CN=$host" 2>/dev/null
    printf 'subjectAltName=DNS:%s\n' $host > $host.ext
    openssl x509 -req -in $host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile $host.ext \
        -out $host.pem 2>/dev/null
    ssh-keygen -q -t ed25519 -N '' -C $host -f sftp-$host
done
age-keygen -o identity.txt 2>/dev/null
age-keygen -y identity.txt > recipient.txt
age-keygen -o stranger.txt 2>/dev/null
touch complete
