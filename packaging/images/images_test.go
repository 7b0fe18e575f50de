package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestSameBytes takes two builds of the same files, at other times and in other containers.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var archives [][]byte
	for i, built := range []time.Time{time.Unix(1_700_000_000, 5), time.Unix(1_800_000_000, 7)} {
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		saved(t, from, built, []string{"a1", "b2"}[i])
		if err := run([]string{from, to, "coin-agent:1.0.0", "arm64"}, "1600000000"); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
	tag, err := name.NewTag("coin-agent:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(filepath.Join(dir, "to"), &tag)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil || file.Created.Unix() != 1_600_000_000 || len(file.Config.Entrypoint) != 1 || file.Config.Entrypoint[0] != "/agent" || file.Architecture != "arm64" {
		t.Errorf("%v, %+v", err, file)
	}
	files := tar.NewReader(mutate.Extract(image))
	header, err := files.Next()
	if err != nil || header.Name != "agent" || header.Mode != 0o755 || header.ModTime.Unix() != 1_600_000_000 {
		t.Fatalf("%v, %+v", err, header)
	}
	if content, err := io.ReadAll(files); err != nil || string(content) != "program" {
		t.Errorf("%q, %v", content, err)
	}
}

// saved writes an image as an engine saves it.
func saved(t *testing.T, path string, built time.Time, container string) {
	t.Helper()
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	if err := archive.WriteHeader(&tar.Header{Name: "agent", Typeflag: tar.TypeReg, Mode: 0o755, Size: 7, ModTime: built}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write([]byte("program")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: built}, CreatedBy: "COPY agent"}})
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.Created, config.Container, config.Architecture, config.OS = v1.Time{Time: built}, container, "amd64", "linux"
	config.Config = v1.Config{Hostname: container, Image: "sha256:" + container, Entrypoint: []string{"/agent"}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("coin-agent:build")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, image); err != nil {
		t.Fatal(err)
	}
}

// TestWrongArguments names what is wrong.
func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		args  []string
		epoch string
	}{
		{args: []string{"a"}, epoch: "1"},
		{args: []string{"a", "b", "c:1", "amd64"}, epoch: "today"},
		{args: []string{"a", "b", "c:1.0+2", "amd64"}, epoch: "1"},
		{args: []string{filepath.Join(t.TempDir(), "missing"), "b", "c:1", "amd64"}, epoch: "1"},
	} {
		if err := run(one.args, one.epoch); err == nil {
			t.Errorf("%q and epoch %q are taken", one.args, one.epoch)
		}
	}
}
