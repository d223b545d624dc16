#!/bin/sh
# Compiles the stand-in's modules, then writes the program FOLDER/swiftc: a compiler that finds them, and that does not
# optimise, which takes a quarter of the time.
# build.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
for module in Combine CreateML; do
  swiftc -swift-version 5 -Onone -parse-as-library -emit-module -emit-library -static -module-name "$module" -I "$folder" \
    -emit-module-path "$folder/$module.swiftmodule" -o "$folder/lib$module.a" "$here/$module"/*.swift
done
cat > "$folder/swiftc" <<END
#!/bin/sh
exec swiftc -I "$folder" -L "$folder" -lCreateML -lCombine "\$@" -Onone
END
chmod +x "$folder/swiftc"
