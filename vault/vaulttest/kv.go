package vaulttest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// engine answers requests to secrets engines.
func (c *call) engine() {
	mount, kind, rest, found := c.mount()
	switch {
	case !found:
		c.fail(http.StatusNotFound, `no handler for route "`+c.path+`". route entry not found.`)
	case kind == "kv-v1":
		c.plain(mount + "/" + rest)
	default:
		action, path, ok := strings.Cut(rest, "/")
		if !ok || path == "" {
			c.fail(http.StatusNotFound)
			return
		}
		c.versioned(action, mount+"/"+path)
	}
}

// plain answers those to a KV version 1 engine.
func (c *call) plain(path string) {
	switch c.r.Method {
	case http.MethodGet:
		if c.d.values[path] == nil {
			c.fail(http.StatusNotFound)
			return
		}
		c.give(map[string]any{"data": c.d.values[path]})
	default:
		c.d.values[path] = c.body
		c.done()
	}
}

// versioned answers those to a KV version 2 engine.
func (c *call) versioned(action, path string) {
	held := c.d.secrets[path]
	switch method := c.r.Method; {
	case action == "data" && method == http.MethodGet:
		c.read(held)
	case action == "data" && method == http.MethodDelete && held != nil:
		held.versions[len(held.versions)-1].deleted = time.Now().UTC().Format(time.RFC3339Nano)
		c.done()
	case action == "data" && method != http.MethodDelete:
		data, ok := c.body["data"].(map[string]any)
		if !ok {
			c.fail(http.StatusBadRequest, "no data provided")
			return
		}
		if held == nil {
			held = &secret{}
			c.d.secrets[path] = held
		}
		held.versions = append(held.versions, &kvVersion{data: data})
		c.give(map[string]any{"data": held.versions[len(held.versions)-1].metadata(len(held.versions))})
	case action == "metadata" && method == http.MethodDelete:
		delete(c.d.secrets, path)
		c.done()
	case held != nil && (action == "delete" || action == "undelete" || action == "destroy"):
		c.change(held, action)
		c.done()
	default:
		c.fail(http.StatusNotFound)
	}
}

func (c *call) change(held *secret, action string) {
	for _, text := range c.list("versions") {
		number, _ := strconv.Atoi(text)
		if number < 1 || number > len(held.versions) {
			continue
		}
		switch one := held.versions[number-1]; action {
		case "delete":
			one.deleted = time.Now().UTC().Format(time.RFC3339Nano)
		case "undelete":
			one.deleted = ""
		case "destroy":
			one.data, one.destroyed = nil, true
		}
	}
}

func (v *kvVersion) metadata(number int) map[string]any {
	return map[string]any{"version": number, "deletion_time": v.deleted, "destroyed": v.destroyed, "created_time": time.Now().UTC().Format(time.RFC3339Nano), "custom_metadata": nil}
}

// read gives a version, as the API's documentation says: one that is deleted or destroyed has
// status 404, its metadata, and no data.
func (c *call) read(held *secret) {
	number := 0
	if text := c.r.URL.Query().Get("version"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil {
			c.fail(http.StatusBadRequest, "field validation failed: error converting input for field \"version\"")
			return
		}
	}
	if held == nil {
		c.fail(http.StatusNotFound)
		return
	}
	if number == 0 {
		number = len(held.versions)
	}
	if number > len(held.versions) {
		c.fail(http.StatusNotFound)
		return
	}
	one := held.versions[number-1]
	answer := map[string]any{"data": map[string]any{"data": one.data, "metadata": one.metadata(number)}}
	if one.deleted != "" || one.destroyed {
		answer["data"].(map[string]any)["data"] = nil
		c.answer(http.StatusNotFound, answer)
		return
	}
	c.give(answer)
}
