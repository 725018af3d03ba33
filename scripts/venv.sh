# Sourced by the other scripts, from the project's folder: makes .venv (Python 3.11 or newer) and installs bdmta into it
# with the extras in $EXTRAS; does nothing when pyproject.toml has not changed since.
python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
  "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "Python 3.11 or newer is needed; none found (set PYTHON=/path/to/python3)" >&2; exit 2; }
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv ||
  { echo "python3 -m venv failed; on Debian: apt install python3-venv" >&2; exit 1; }
stamp=$({ echo "${EXTRAS:-}"; cat pyproject.toml; .venv/bin/python -VV; pwd; } | sha256sum | cut -c1-16)
stamps=.venv/bdmta-installed
if ! grep -qsx "$stamp" "$stamps"; then
  echo "installing into .venv ..." >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -e ".${EXTRAS:+[$EXTRAS]}" >&2
  # the test extra contains all that the plain installation needs
  { echo "$stamp"; [ -z "${EXTRAS:-}" ] || { echo; cat pyproject.toml; .venv/bin/python -VV; pwd; } | sha256sum | cut -c1-16; } >"$stamps"
fi
