#!/usr/bin/env bash
# Makes the certificates of the TLS tests anew, valid from 2020 to 2120. They protect nothing: their keys are public.
# The keys of the authorities are thrown away.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

role=1.3.6.1.4.1.50316.802.1

sign() { # NAME AUTHORITY EXTENSIONS START END
    : >"$work/index"
    openssl rand -hex 8 >"$work/serial"
    cat >"$work/config" <<TEXT
[ca]
default_ca = this
[this]
new_certs_dir = $work
database = $work/index
serial = $work/serial
default_md = sha256
policy = names
x509_extensions = extensions
[names]
commonName = supplied
[extensions]
$3
TEXT
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/csr"
    local signer=(-cert "$2.pem" -keyfile "$work/$2.key")
    [[ $2 != "$1" ]] || signer=(-selfsign -keyfile "$work/$1.key")
    openssl ca -batch -notext -config "$work/config" -in "$work/csr" -out "$1.pem" "${signer[@]}" \
        -startdate "${4:-20200101000000Z}" -enddate "${5:-21200101000000Z}"
}

authority() { # NAME
    sign "$1" "$1" $'basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign'
}

issue() { # NAME AUTHORITY EXTENSIONS [START END]
    sign "$@"
    mv "$work/$1.key" "$1.key"
}

authority authority
authority stranger
issue server authority 'subjectAltName = DNS:localhost,IP:127.0.0.1'
issue elsewhere authority 'subjectAltName = DNS:plc.example,IP:192.0.2.1'
issue expired authority 'subjectAltName = DNS:localhost,IP:127.0.0.1' 20190101000000Z 20200101000000Z
issue operator authority "$role = ASN1:UTF8String:Operator"
issue nobody authority 'basicConstraints = CA:FALSE'
issue ia5 authority "$role = ASN1:IA5String:Operator"
issue intruder stranger "$role = ASN1:UTF8String:Operator"
openssl ec -in operator.key -aes256 -passout pass:secret -out encrypted.key
