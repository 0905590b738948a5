#!/bin/sh
# Make the secrets of compose.yaml: new random passwords, and the database addresses that hold them. Never replaces any.
# Usage: make-secrets.sh [FOLDER], by default serving/deploy/secrets (git and the image builds leave it out).
set -eu

folder=${1:-$(dirname "$0")/../secrets}
if [ -e "$folder" ]; then
  echo "$folder is there already; nothing was changed. To make new secrets, move it away (the databases keep the old ones)." >&2
  exit 1
fi

# 256 bits, in letters and figures that need no escaping in an address.
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
# The files can be read by any user, because the containers' users are others than yours; the folder keeps everybody else out.
keep() { printf '%s' "$2" >"$folder/$1"; chmod 0444 "$folder/$1"; }

mkdir -m 0700 "$folder"
signaal=$(random)
mlflow=$(random)
keep postgres_password "$(random)"
keep signaal_database_password "$signaal"
keep signaal_serve_database_url "postgresql+psycopg://signaal:$signaal@postgres:5432/signaal"
keep mlflow_database_password "$mlflow"
keep mlflow_backend_store_uri "postgresql+psycopg://mlflow:$mlflow@postgres:5432/mlflow"
keep grafana_admin_password "$(random)"
echo "Secrets are in $folder."
