#!/bin/sh
# Run once by the PostgreSQL image, when its data folder is empty: a role with a database of its own for each service.
set -eu

for name in signaal mlflow; do
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$name" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat /run/secrets/:name'_database_password'`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
