#!/bin/sh
# certificates.sh - makes what compose.yml mounts: a CA, the certificates of redis and respgate, and
# the store's password. Does nothing where all of it is there already.
#
#   certificates.sh FOLDER
#
#   FOLDER/ca/         the authority and its key: for nobody but this script
#   FOLDER/redis/      ca.crt server.crt server.key users.acl replication.conf   owned by REDIS_UID
#   FOLDER/respgate/   ca.crt server.* client.* password          owned by RESPGATE_UID
#   FOLDER/clients/    ca.crt, to check respgate's tls:// listener with
set -eu

[ $# = 1 ] || { echo "usage: certificates.sh FOLDER" >&2; exit 2; }
folder=$1
redis_uid=${REDIS_UID:-999}        # redis in the official image
respgate_uid=${RESPGATE_UID:-6380} # respgate in this one
days=${DAYS:-825}

if [ -f "$folder/complete" ]; then
    echo "certificates.sh: $folder is complete"
    exit 0
fi

umask 077
mkdir -p "$folder/ca" "$folder/redis" "$folder/respgate" "$folder/clients"

run() {
    openssl "$@" >/dev/null 2>"$folder/ca/output" || { cat "$folder/ca/output" >&2; exit 1; }
}

request() { # request SUBJECT KEY OUT MORE...
    subject=$1 key=$2 out=$3
    shift 3
    run req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=respgate compose/CN=$subject" \
        -keyout "$key" -out "$out" "$@"
}

issue() { # issue OWNER KIND SUBJECT EXTENSIONS: a certificate at FOLDER/OWNER/KIND.crt
    at=$folder/$1/$2
    printf '%s\n' "$4" >"$folder/ca/extensions"
    request "$3" "$at.key" "$folder/ca/request"
    run x509 -req -in "$folder/ca/request" -CA "$folder/ca/ca.crt" -CAkey "$folder/ca/ca.key" \
        -CAcreateserial -days "$days" -extfile "$folder/ca/extensions" -out "$at.crt"
}

server_of() { # server_of NAMES
    printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=%s\n' "$1"
}

request 'compose CA' "$folder/ca/ca.key" "$folder/ca/ca.crt" -x509 -days "$days"
# Nodes of a cluster are each other's clients too.
issue redis server redis "$(server_of DNS:redis | sed 's/serverAuth/serverAuth,clientAuth/')"
issue respgate server respgate "$(server_of DNS:respgate,DNS:localhost,IP:127.0.0.1)"
issue respgate client respgate "$(printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth')"
for owner in redis respgate clients; do
    cp "$folder/ca/ca.crt" "$folder/$owner/ca.crt"
done

# Hexadecimal, so that it needs no escaping in a URL. The store keeps only its hash.
openssl rand -hex 24 >"$folder/respgate/password"
hash=$(tr -d '\n' <"$folder/respgate/password" | openssl dgst -sha256 -r)
echo "masterauth $(cat "$folder/respgate/password")" >"$folder/redis/replication.conf"
echo "user default on #${hash%% *} ~* &* +@all" >"$folder/redis/users.acl"

rm -f "$folder/ca/request" "$folder/ca/extensions" "$folder/ca/output"
# Each service reads its own folder and no other.
chmod 0755 "$folder" "$folder/clients"
chmod 0644 "$folder/clients/ca.crt"
if [ "$(id -u)" = 0 ]; then
    chown -R "$redis_uid" "$folder/redis"
    chown -R "$respgate_uid" "$folder/respgate"
fi
touch "$folder/complete"
echo "certificates.sh: made $folder"
