#!/usr/bin/env bash
# What tests need that pip does not bring, from Debian's packages: a browser, promtool, and characters for Chinese.
# Installs what is missing and says what; does nothing where all is there, or where apt is not how software comes.
set -euo pipefail

declare -A package_of=([chromium]=chromium [promtool]=prometheus)
missing=()
for command in "${!package_of[@]}"; do
	command -v "$command" >/dev/null || missing+=("${package_of[$command]}")
done
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
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
echo 'packages: done'
