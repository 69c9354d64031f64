#!/bin/sh
# certs.sh FOLDER - makes the certificates the tests need, with openssl alone.
#
# A second run on a finished folder does nothing, so every test may call it. EC keys: made in
# milliseconds. Each NAME below becomes NAME.crt and NAME.key:
#
#   ca            signs all but stranger       stranger-ca   an authority nobody trusts
#   server        localhost and 127.0.0.1      stranger      as server, signed by stranger-ca
#   client        CN=app                       wrong-name    a server called elsewhere.test
#   other         CN=other                     expired       as server, valid in January 2020
#   encrypted.key client's key under a password     rsa.key a key of another kind
set -eu
umask 077

dir=${1:?usage: certs.sh FOLDER}
mkdir -p "$dir"
cd "$dir"
# The stamp carries the recipe's version: raise it when the recipe changes.
stamp=done-2
finished() {
    [ -e $stamp ] && openssl x509 -in ca.crt -noout -checkend 86400 >/dev/null 2>&1
}
finished && exit 0

# Two test programs may start at once: one makes, the other waits until it is done.
tries=0
until mkdir making 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "certs.sh: $dir/making was left behind: remove it" >&2; exit 1; }
    sleep 0.1
done
trap 'rm -rf making' EXIT
finished && exit 0
rm -f done-*

cat >making/openssl.cnf <<CNF
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost, IP:127.0.0.1
[elsewhere]
subjectAltName = DNS:elsewhere.test
[client]
basicConstraints = CA:false
[ca]
default_ca = past
[past]
database = making/index
rand_serial = yes
new_certs_dir = making
default_md = sha256
policy = any
[any]
organizationName = optional
commonName = supplied
CNF
: >making/index

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
}
request() { # name subject
    key "$1"
    openssl req -new -config making/openssl.cnf -key "$1.key" -subj "$2" -out "making/$1.csr"
}
authority() { # name subject
    key "$1"
    openssl req -new -x509 -config making/openssl.cnf -extensions authority -days 3650 \
        -key "$1.key" -subj "$2" -out "$1.crt"
}
leaf() { # name subject authority extensions
    request "$1" "$2"
    openssl x509 -req -in "making/$1.csr" -CA "$3.crt" -CAkey "$3.key" -days 3650 \
        -set_serial "0x$(openssl rand -hex 8)" -extfile making/openssl.cnf -extensions "$4" \
        -out "$1.crt" 2>/dev/null
}

authority ca "/O=respgate test/CN=test CA"
authority stranger-ca "/O=strangers/CN=stranger CA"
leaf server "/O=respgate test/CN=localhost" ca server
leaf wrong-name "/O=respgate test/CN=elsewhere.test" ca elsewhere
leaf stranger "/O=strangers/CN=localhost" stranger-ca server
leaf client "/O=respgate test/CN=app" ca client
leaf other "/O=respgate test/CN=other" ca client

# x509 -req cannot set dates of the past before OpenSSL 3.4; ca always could.
request expired "/O=respgate test/CN=localhost"
openssl ca -batch -notext -config making/openssl.cnf -extensions server \
    -cert ca.crt -keyfile ca.key -startdate 20200101000000Z -enddate 20200201000000Z \
    -in making/expired.csr -out expired.crt 2>/dev/null

openssl pkey -in client.key -aes256 -passout pass:secret -out encrypted.key
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key 2>/dev/null
: >$stamp
