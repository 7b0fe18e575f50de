package prepare_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/prepare"
)

// entry is an entry of an archive.
type entry struct {
	name, content string
	kind          byte   // 0 for a file
	link          string // for links
}

// archive makes a tar.gz.
func archive(entries ...entry) []byte {
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	writer := tar.NewWriter(zipped)
	for _, one := range entries {
		header := &tar.Header{Name: one.name, Typeflag: one.kind, Linkname: one.link, Mode: 0o644, Size: int64(len(one.content)), Format: tar.FormatPAX}
		if one.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		_ = writer.WriteHeader(header)
		_, _ = io.WriteString(writer, one.content)
	}
	_ = writer.Close()
	_ = zipped.Close()
	return packed.Bytes()
}

func compose(name string) bool { return name == "docker-compose.yml" }

// lines gives base64 as the command base64 writes it.
func lines(content []byte) string {
	text := base64.StdEncoding.EncodeToString(content)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text + "\n"
}

// TestBundle reads bundles in the forms that images and people make.
func TestBundle(t *testing.T) {
	want := prepare.Bundle{"docker-compose.yml": []byte("services: {}\n")}
	top := archive(entry{name: "coin-1/", kind: tar.TypeDir}, entry{name: "coin-1/docker-compose.yml", content: "services: {}\n"}, entry{name: "coin-1/sub/docker-compose.yml", content: "x"})
	for name, text := range map[string]string{
		"lines":            lines(top),
		"one line":         base64.StdEncoding.EncodeToString(top),
		"carriage returns": strings.ReplaceAll(lines(top), "\n", "\r\n"),
		"decoded":          string(top),
		"no top folder":    lines(archive(entry{name: "./", kind: tar.TypeDir}, entry{name: "./docker-compose.yml", content: "services: {}\n"}, entry{name: "./a/docker-compose.yml", content: "x"})),
		"no folders":       lines(archive(entry{name: "coin/deploy.sh", content: "x"}, entry{name: "coin/docker-compose.yml", content: "services: {}\n"})),
	} {
		bundle, err := prepare.ReadBundle(strings.NewReader(text), compose)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, bundle); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestHostileBundle refuses what a bundle must not have.
func TestHostileBundle(t *testing.T) {
	good := entry{name: "coin/docker-compose.yml", content: "services: {}\n"}
	whole := archive(good)
	many := make([]entry, 20_001)
	for i := range many {
		many[i] = entry{name: fmt.Sprint("coin/", i)}
	}
	for name, test := range map[string]struct{ text, want string }{
		"above":               {lines(archive(good, entry{name: "../docker-compose.yml", content: "x"})), `the path "../docker-compose.yml" leaves its folder`},
		"above within":        {lines(archive(good, entry{name: "coin/../../etc/passwd", content: "x"})), "leaves its folder"},
		"absolute":            {lines(archive(good, entry{name: "/etc/passwd", content: "x"})), `the path "/etc/passwd" leaves its folder`},
		"backslash":           {lines(archive(entry{name: `coin\..\docker-compose.yml`, content: "x"})), "is not a plain path"},
		"control characters":  {lines(archive(entry{name: "/\x1b[2J", content: "x"})), `\\x1b[2J`},
		"link":                {lines(archive(good, entry{name: "coin/link", kind: tar.TypeSymlink, link: "/etc/shadow"})), "coin/link is neither a file nor a folder"},
		"hard link":           {lines(archive(good, entry{name: "coin/link", kind: tar.TypeLink, link: "coin/docker-compose.yml"})), "neither a file nor a folder"},
		"device":              {lines(archive(good, entry{name: "coin/null", kind: tar.TypeChar})), "neither a file nor a folder"},
		"pipe":                {lines(archive(good, entry{name: "coin/pipe", kind: tar.TypeFifo})), "neither a file nor a folder"},
		"twice":               {lines(archive(good, good)), "it has coin/docker-compose.yml twice"},
		"twice by a dot":      {lines(archive(good, entry{name: "./coin/docker-compose.yml", content: "x"})), "twice"},
		"many":                {lines(archive(many...)), "more than 20000 entries"},
		"large file":          {lines(archive(entry{name: "coin/docker-compose.yml", content: strings.Repeat("#", 2<<20+1)})), "has more than 2097152 bytes"},
		"bomb":                {lines(archive(good, entry{name: "coin/zeros", content: strings.Repeat("\x00", 128<<20)})), "it is too large"},
		"bomb behind the end": {lines(append(append([]byte{}, whole...), zeros(128<<20)...)), "it is too large"},
		"truncated base64":    {lines(whole)[:60], "unexpected EOF"},
		"truncated archive":   {lines(whole[:len(whole)-20]), "unexpected EOF"},
		"truncated checksum":  {lines(whole[:len(whole)-4]), "unexpected EOF"},
		"damaged":             {lines(append(append([]byte{}, whole[:len(whole)-6]...), "wrong!"...)), "checksum"},
		"wrong base64":        {"Usage: entrypoint COMMAND\n", "illegal base64 data"},
		"text behind it":      {lines(whole) + "done!\n", "illegal base64 data"},
		"not compressed":      {base64.StdEncoding.EncodeToString([]byte("services: {}\n")), "the bundle is not a tar.gz in base64"},
		"not an archive":      {lines(zipped("services: {}\n")), "the bundle is not a tar.gz in base64"},
		"nothing":             {"", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, err := prepare.ReadBundle(strings.NewReader(test.text), compose)
			if err == nil || bundle != nil || !strings.Contains(err.Error(), test.want) || fault.Hint(err) == "" || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("got %v, %v; want %s", bundle, err, test.want)
			}
		})
	}
}

func zipped(content string) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = io.WriteString(writer, content)
	_ = writer.Close()
	return packed.Bytes()
}

// zeros gives a compressed run of zeros.
func zeros(n int) []byte { return zipped(strings.Repeat("\x00", n)) }

// FuzzBundle looks for a bundle that ends the program, or that gives what was not wanted.
func FuzzBundle(f *testing.F) {
	good := entry{name: "coin/docker-compose.yml", content: "services: {}\n"}
	f.Add([]byte(lines(archive(good))))
	f.Add(archive(good, entry{name: "coin/link", kind: tar.TypeSymlink, link: "/etc"}))
	f.Add(archive(entry{name: "a", content: "x"}, entry{name: "../b", content: "y"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		bundle, err := prepare.ReadBundle(bytes.NewReader(content), compose)
		for name, file := range bundle {
			if err != nil || !fs.ValidPath(name) || !compose(name) || len(file) > 2<<20 {
				t.Errorf("%q has %d bytes, %v", name, len(file), err)
			}
		}
	})
}
