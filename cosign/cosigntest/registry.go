// Package cosigntest makes registries, images and signatures for tests: a real registry on the
// loopback, and signatures by sigstore's library in the forms that the cosign command writes.
package cosigntest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/waitfor"
)

// Registry starts an empty registry for the duration of the test, and gives its address.
func Registry(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		tb.Fatalf("%v\nhint: `make test` installs it; by hand: apt-get install docker-registry", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	config := filepath.Join(tb.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", tb.TempDir(), address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	command := exec.Command(program, "serve", config)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	waitfor.NoError(tb, 5*time.Minute, func() error {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
	return address
}

// Repository is a repository in a registry that tests write to.
type Repository struct {
	Name string // with the registry

	tb     testing.TB
	remote *remote.Repository
}

// Open prepares the access to a repository.
func Open(tb testing.TB, name string, login auth.Credential) *Repository {
	tb.Helper()
	opened, err := remote.NewRepository(name)
	if err != nil {
		tb.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(opened.Reference.Registry)
	opened.PlainHTTP, opened.SkipReferrersGC = loopback.Is(host), true // Debian's registry deletes nothing
	opened.Client = &auth.Client{Credential: auth.StaticCredential(opened.Reference.Host(), login)}
	return &Repository{name, tb, opened}
}

// Image pushes an image that has only a config, and gives its digest. Images with another
// content differ from it.
func (r *Repository) Image(tag, content string) digest.Digest {
	r.tb.Helper()
	config := r.Blob(ocispec.MediaTypeImageConfig, []byte(`{"architecture": "amd64", "os": "linux", "author": "`+content+`"}`))
	return r.Manifest(tag, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}})
}

// Blob pushes a content.
func (r *Repository) Blob(mediaType string, text []byte) ocispec.Descriptor {
	r.tb.Helper()
	described := content.NewDescriptorFromBytes(mediaType, text)
	if _, err := oras.PushBytes(r.tb.Context(), r.remote, mediaType, text); err != nil {
		r.tb.Fatalf("push a blob: %v", err)
	}
	return described
}

// Manifest pushes a manifest, under a tag if that is not empty. One with a subject refers to it.
func (r *Repository) Manifest(tag string, manifest ocispec.Manifest) digest.Digest {
	r.tb.Helper()
	manifest.Versioned, manifest.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	return r.push(tag, manifest.MediaType, manifest).Digest
}

// Index pushes an image for two platforms, and gives its digest and those of the platforms'.
func (r *Repository) Index(tag, content string) (index digest.Digest, platforms []digest.Digest) {
	r.tb.Helper()
	listed := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		config := r.Blob(ocispec.MediaTypeImageConfig, []byte(`{"architecture": "`+architecture+`", "os": "linux", "author": "`+content+`"}`))
		manifest := ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}}
		manifest.Versioned, manifest.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
		one := r.push("", manifest.MediaType, manifest)
		one.Platform = &ocispec.Platform{Architecture: architecture, OS: "linux"}
		listed.Manifests, platforms = append(listed.Manifests, one), append(platforms, one.Digest)
	}
	return r.push(tag, listed.MediaType, listed).Digest, platforms
}

// push pushes a manifest or an index.
func (r *Repository) push(tag, mediaType string, object any) ocispec.Descriptor {
	r.tb.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		r.tb.Fatal(err)
	}
	described := content.NewDescriptorFromBytes(mediaType, text)
	push := func(ctx context.Context) error {
		if tag == "" {
			return r.remote.Push(ctx, described, bytesOf(text))
		}
		return r.remote.PushReference(ctx, described, bytesOf(text), tag)
	}
	if err := push(r.tb.Context()); err != nil {
		r.tb.Fatalf("push a manifest: %v", err)
	}
	return described
}
