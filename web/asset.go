package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"

	"bouncelog/report/render"
)

//go:embed html static/*.js static/*.css static/*.svg
var files embed.FS

// An asset is a file that pages load.
type asset struct {
	url, kind string
	content   []byte
}

// assets are the files that pages load, by name.
type assets map[string]asset

// loadAssets reads the scripts and joins the style sheets: that of the components and our own. The
// URL of each contains a hash of its content, so that a browser may keep it.
func loadAssets() (assets, error) {
	own, err := files.ReadFile("static/web.css")
	if err != nil {
		return nil, err
	}
	list := assets{"style.css": {content: append([]byte(render.StyleSheet()), own...)}}
	for _, name := range []string{"htmx.min.js", "hx-sse.min.js", "live.js", "icon.svg"} {
		raw, err := files.ReadFile("static/" + name)
		if err != nil {
			return nil, err
		}
		list[name] = asset{content: raw}
	}
	for name, a := range list {
		sum := sha256.Sum256(a.content)
		ending := path.Ext(name)
		a.url = strings.TrimSuffix(name, ending) + "." + hex.EncodeToString(sum[:6]) + ending
		a.kind = mime.TypeByExtension(ending)
		list[name] = a
	}
	return list, nil
}

// url returns the URL of an asset.
func (list assets) url(name string) string { return "/static/" + list[name].url }

func (list assets) serve(w http.ResponseWriter, r *http.Request) {
	for _, a := range list {
		if a.url == r.PathValue("name") {
			h := w.Header()
			h.Set("Content-Type", a.kind)
			h.Set("Cache-Control", "private, max-age=31536000, immutable")
			w.Write(a.content)
			return
		}
	}
	http.NotFound(w, r)
}
