// Package demoimage builds the image that replaces all images of the example
// repository, and imports it into an engine under the image names of the compose
// files. It does not use a registry.
package demoimage

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/progress"
)

const program = "coin.internal/coin-agent/examples/app"

// engine is the part of the Docker client that Import uses.
type engine interface {
	ImageInspect(ctx context.Context, ref string, options ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	ImageTag(ctx context.Context, source, target string) error
}

// Build compiles examples/app and returns the image's file system as a tar archive.
// The working directory must be in this module. The build is reproducible.
func Build(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "demoimage-")
	if err != nil {
		return nil, fmt.Errorf("build demo image: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "app")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build demo image: go build: %w\n%s", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("build demo image: %w", err)
	}
	return pack(content)
}

// pack returns a tar archive with the program as /app, /bin/sh, and the programs of health checks.
func pack(program []byte) ([]byte, error) {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, header := range []*tar.Header{
		{Name: "app", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "/app"},
		{Name: "bin/pg_isready", Typeflag: tar.TypeSymlink, Linkname: "/app"},
		{Name: "bin/traefik", Typeflag: tar.TypeSymlink, Linkname: "/app"},
	} {
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack demo image: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if _, err := archive.Write(program); err != nil {
			return nil, fmt.Errorf("pack demo image: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack demo image: %w", err)
	}
	return packed.Bytes(), nil
}

// Import imports the image under each of refs that the engine does not have. It
// imports once, and tags the other names.
func Import(ctx context.Context, engine engine, refs []string) error {
	var missing []string
	for _, ref := range refs {
		_, err := engine.ImageInspect(ctx, ref)
		if errdefs.IsNotFound(err) {
			missing = append(missing, ref)
		} else if err != nil {
			return fmt.Errorf("look for image %s: %w", ref, err)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	packed, err := Build(ctx)
	if err != nil {
		return err
	}
	if err := load(ctx, engine, packed, missing[0]); err != nil {
		return fmt.Errorf("import image %s: %w", missing[0], err)
	}
	for _, ref := range missing[1:] {
		if err := engine.ImageTag(ctx, missing[0], ref); err != nil {
			return fmt.Errorf("tag image %s: %w", ref, err)
		}
	}
	return nil
}

// load imports the tar archive under ref.
func load(ctx context.Context, engine engine, packed []byte, ref string) error {
	source := image.ImportSource{Source: bytes.NewReader(packed), SourceName: "-"}
	answer, err := engine.ImageImport(ctx, source, ref, image.ImportOptions{
		Message: "demo program of the example repository",
		Changes: []string{`ENTRYPOINT ["/app"]`, "USER 1000:1000"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	return progress.Drain(answer)
}
