#!/usr/bin/env bash
# Checks every module and example: terraform fmt, init, validate and test, then a security scan.
#   bash infra/check.sh              everything
#   bash infra/check.sh DIR...       those directories, without the scan
# Where stub providers with AWS's schema lie beside the repository they are used; otherwise terraform downloads
# the providers, once. Tests mock them: no account is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

tools=$PWD/target/tools
stubs=../shared/terraform/check.sh
mkdir -p "$tools"

plain() { # DIR
  (
    cd "$1"
    terraform fmt -check -diff -recursive
    terraform init -backend=false -input=false >"$tools/terraform-init.log" 2>&1 || { cat "$tools/terraform-init.log" >&2; exit 1; }
    terraform validate -no-color
    if compgen -G 'tests/*.tftest.hcl' >/dev/null; then terraform test -no-color; fi
  )
}

if [ $# -gt 0 ]; then
  directories=("$@")
else
  mapfile -t directories < <(find infra -name .terraform -prune -o -path '*/tests/*' -prune -o -name '*.tf' -printf '%h\n' | sort -u)
fi

if [ -e "$stubs" ]; then
  bash "$stubs" "${directories[@]}"
else
  export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_PLUGIN_CACHE_DIR=$tools/terraform-plugins
  mkdir -p "$TF_PLUGIN_CACHE_DIR"
  for directory in "${directories[@]}"; do
    echo "== $directory"
    plain "$directory"
  done
fi

[ $# -eq 0 ] || exit 0

echo "== security scan"
checkov=$tools/checkov
if ! cmp -s infra/check/requirements.txt "$checkov/requirements.txt"; then
  rm -rf "$checkov"
  "${SPILLWAY_PYTHON:-python3}" -m venv "$checkov"
  "$checkov/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r infra/check/requirements.txt
  cp infra/check/requirements.txt "$checkov/"
fi
"$checkov/bin/python" infra/check/scan.py infra
