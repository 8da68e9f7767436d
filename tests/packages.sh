#!/usr/bin/env bash
# What tests need that pip does not bring, from Debian's packages: a browser, promtool, and characters for Chinese.
# Installs what is missing and says what; does nothing where all is there, or where apt is not how software comes.
set -euo pipefail

missing=()
# Chromium without its windows, which cost more than the pages do; with them it does as well.
command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || missing+=(chromium-headless-shell)
command -v promtool >/dev/null || missing+=(prometheus)
# Without a font that has them, Chinese characters are boxes, and boxes have other widths.
[[ -n "$(find /usr/share/fonts /usr/local/share/fonts -iname '*cjk*' -print -quit 2>/dev/null)" ]] || missing+=(fonts-noto-cjk)

if ((${#missing[@]} == 0)); then
	echo 'packages: all there'
	exit
fi
if ! command -v apt-get >/dev/null; then
	echo "packages: no apt-get here; tests that need one of these will be skipped: ${missing[*]}"
	exit
fi
as_root=()
if ((EUID != 0)); then
	if ! sudo -n true 2>/dev/null; then
		echo "packages: not root; install them yourself: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo -n)
fi

echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Prometheus is wanted for its promtool alone: a policy of 101 keeps its package from starting a server.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod +x "$policy"
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
"${apt[@]}" update
# Older releases have it in one piece only.
apt-cache show chromium-headless-shell >/dev/null 2>&1 || missing=("${missing[@]/chromium-headless-shell/chromium}")
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
echo 'packages: done'
