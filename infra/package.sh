#!/usr/bin/env bash
# Builds every function for provided.al2023, checks the programs and packs them, the same bytes on every machine:
#   bash infra/package.sh            target/packages/x86_64/FUNCTION.zip and SHA256SUMS
#   bash infra/package.sh --arm64    target/packages/arm64/...
# infra/package/budgets.txt tells how large each may be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "$*" in
  "") architecture=x86_64 machine=x86_64 ;;
  --arm64) architecture=arm64 machine=aarch64 ;;
  *) echo "usage: bash infra/package.sh [--arm64]" >&2; exit 2 ;;
esac
here=$PWD
target=${CARGO_TARGET_DIR:-$here/target}
case "$target" in /*) ;; *) target=$here/$target ;; esac
programs=$target/lambda/$architecture
packages=target/packages/$architecture
# What an earlier run has left must not be taken for what this one fails to make.
rm -rf "$packages" "$programs"

# cargo-lambda and zig, pinned by hash, in an environment of their own.
tools=$here/target/tools/cargo-lambda
if ! cmp -s infra/package/requirements.txt "$tools/requirements.txt"; then
  rm -rf "$tools"
  "${SPILLWAY_PYTHON:-python3}" -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r infra/package/requirements.txt
  cp infra/package/requirements.txt "$tools/"
fi

# Every package with a program below functions/, by name: another package's features must not become theirs.
functions=() selected=()
for main in functions/*/src/main.rs; do
  function=$(basename "${main%/src/main.rs}")
  functions+=("$function") selected+=(--package "$function")
done

# No place on this machine may get into a program. Where two of these match, rustc takes the later one. Registries of
# other names have the same crates, and toolchains with sources would name their own copy of the standard library's.
cargo fetch --locked --quiet --target "$machine-unknown-linux-gnu"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
remap=("$here=/spillway" "$target=/spillway/target" "$cargo_home=/cargo" "$sysroot/lib/rustlib/src/rust=/rustc/$commit")
for registry in "$cargo_home"/registry/src/*/; do
  remap+=("${registry%/}=/cargo/registry")
done
flags=$(printf -- '--remap-path-prefix=%s\037' "${remap[@]}")

# These flags take the place of cargo-lambda's own, which ask for a Haswell or a Neoverse N1, and so what is packed
# starts on any machine of its architecture. Linked against the runtime's own glibc: against an older one, the programs
# would load libraries that are parts of it by now.
CARGO_ENCODED_RUSTFLAGS=${flags%$'\037'} CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target PATH=$tools/bin:$PATH \
  cargo lambda build --quiet --release --locked --target "$machine-unknown-linux-gnu.2.34" --lambda-dir "$programs" "${selected[@]}"

cargo run --quiet --locked --package spillway-package -- pack --architecture "$architecture" \
  --budgets infra/package/budgets.txt --programs "$programs" --packages "$packages" \
  --path "$here" --path "$target" --path "$cargo_home" --path "$sysroot" "${functions[@]}"
