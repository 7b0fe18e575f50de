package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"coin.internal/coin-agent/agent/access"
)

//go:embed assets
var assets embed.FS

// assetTypes are the types of the files, by extension.
var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// Assets answers with the style, the script or the icon.
func (p *Pages) Assets(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, access.AssetPath)
	data, err := assets.ReadFile("assets/" + name)
	if err != nil || assetTypes[path.Ext(name)] == "" {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	mark := `"` + hex.EncodeToString(sum[:8]) + `"`
	harden(w.Header())
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "no-cache") // asked again each time, sent when it has changed
	w.Header().Set("ETag", mark)
	if r.Header.Get("If-None-Match") == mark {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(data)
}
