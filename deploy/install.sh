#!/bin/sh
# Installs postgres-seren-replicator: the executable, its manual page and shell completions.
#
#   curl -fsSL https://github.com/seren/postgres-seren-replicator/releases/latest/download/install.sh | sh
#
# The download is compared with SHA256SUMS of the release; nothing is installed if it differs.
#
#   SEREN_VERSION      the version to install: v0.1.0 (default: the latest release)
#   SEREN_PREFIX       where to install: PREFIX/bin, PREFIX/share (default: $HOME/.local)
#   SEREN_RELEASE_URL  where the files of the release are (default: on GitHub)
set -eu

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

# everything is in a function, so that an incomplete download of this script runs nothing
install_program() {
  program=postgres-seren-replicator
  releases=https://github.com/seren/postgres-seren-replicator/releases
  if [ -n "${SEREN_RELEASE_URL:-}" ]; then base=$SEREN_RELEASE_URL
  elif [ -n "${SEREN_VERSION:-}" ]; then base=$releases/download/$SEREN_VERSION
  else base=$releases/latest/download
  fi
  prefix=${SEREN_PREFIX:-${HOME:?"set SEREN_PREFIX or HOME"}/.local}

  case $(uname -s) in
    Linux) os=linux ;;
    Darwin) os=macos ;;
    *) fail "there is no executable for $(uname -s); see docs/guides/install.md for other ways" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no executable for $(uname -m); see docs/guides/install.md for other ways" ;;
  esac
  if [ "$os" = linux ] && ldd --version 2>&1 | grep -qi musl; then
    fail "the executable requires glibc, and this system has musl; use the container image"
  fi
  archive=$program-$os-$arch.tar.gz

  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  trap 'exit 130' INT TERM
  echo "Downloading $archive from $base"
  fetch "$base/SHA256SUMS" "$folder/SHA256SUMS"
  fetch "$base/$archive" "$folder/$archive"

  expected=$(awk -v file="$archive" '$2 == file || $2 == "*" file { print $1 }' "$folder/SHA256SUMS")
  [ -n "$expected" ] || fail "SHA256SUMS does not list $archive; nothing was installed"
  actual=$(checksum "$folder/$archive")
  [ "$actual" = "$expected" ] ||
    fail "the checksum of $archive is $actual, expected $expected; nothing was installed"

  tar -xzf "$folder/$archive" -C "$folder"
  mkdir -p "$prefix/bin" "$prefix/share/man/man1" \
    "$prefix/share/bash-completion/completions" "$prefix/share/zsh/site-functions" \
    "$prefix/share/fish/vendor_completions.d"
  # renamed into place, as a running program cannot be overwritten
  cp "$folder/$program/bin/$program" "$prefix/bin/.$program.new"
  chmod 755 "$prefix/bin/.$program.new"
  mv -f "$prefix/bin/.$program.new" "$prefix/bin/$program"
  cp "$folder/$program/share/man/man1/$program.1" "$prefix/share/man/man1/"
  cp "$folder/$program/share/completions/$program.bash" \
    "$prefix/share/bash-completion/completions/$program"
  cp "$folder/$program/share/completions/_$program" "$prefix/share/zsh/site-functions/"
  cp "$folder/$program/share/completions/$program.fish" \
    "$prefix/share/fish/vendor_completions.d/"

  echo "Installed $program $("$prefix/bin/$program" --version) in $prefix/bin"
  case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "Add it to your PATH: export PATH=\"$prefix/bin:\$PATH\"" ;;
  esac
}

fetch() { # URL, file
  if command -v curl >/dev/null; then curl -fsSL --retry 3 -o "$2" "$1" || fail "cannot download $1"
  elif command -v wget >/dev/null; then wget -q -O "$2" "$1" || fail "cannot download $1"
  else fail "curl or wget is required"
  fi
}

checksum() { # file
  if command -v sha256sum >/dev/null; then sha256sum "$1" | cut -d' ' -f1
  elif command -v shasum >/dev/null; then shasum -a 256 "$1" | cut -d' ' -f1
  else fail "sha256sum or shasum is required to verify the download"
  fi
}

install_program
