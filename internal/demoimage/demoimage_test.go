package demoimage_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/demoimage"
)

func TestBuild(t *testing.T) {
	packed, err := demoimage.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := demoimage.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(packed, again) {
		t.Error("two builds differ")
	}
	var names []string
	archive := tar.NewReader(bytes.NewReader(packed))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if diff := cmp.Diff([]string{"app", "bin/", "bin/sh", "bin/pg_isready", "bin/traefik"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// store is an engine's image store that records calls.
type store struct {
	images map[string]bool
	answer string
	broken error
	calls  []string
}

func (s *store) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	if s.broken != nil {
		return image.InspectResponse{}, s.broken
	}
	if !s.images[ref] {
		return image.InspectResponse{}, errdefs.ErrNotFound
	}
	return image.InspectResponse{}, nil
}

func (s *store) ImageImport(_ context.Context, source image.ImportSource, ref string, _ image.ImportOptions) (io.ReadCloser, error) {
	s.calls = append(s.calls, "import "+ref)
	s.images[ref] = true
	_, err := io.Copy(io.Discard, source.Source)
	return io.NopCloser(strings.NewReader(s.answer)), err
}

func (s *store) ImageTag(_ context.Context, source, target string) error {
	s.calls = append(s.calls, "tag "+source+" "+target)
	s.images[target] = true
	return nil
}

func TestImport(t *testing.T) {
	refs := []string{"coin/core:1", "coin/scheduler:1", "coin/pdf-renderer:1"}
	images := &store{images: map[string]bool{"coin/core:1": true}, answer: `{"status":"sha256:0"}` + "\n"}
	for range 2 { // the second call has nothing to do
		if err := demoimage.Import(t.Context(), images, refs); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"import coin/scheduler:1", "tag coin/scheduler:1 coin/pdf-renderer:1"}
	if diff := cmp.Diff(want, images.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestImportFails(t *testing.T) {
	down := errors.New("engine down")
	for _, test := range []struct {
		name  string
		store *store
		want  string
	}{
		{name: "engine down", store: &store{broken: down}, want: "look for image coin/core:1: engine down"},
		{
			name:  "error in the stream",
			store: &store{images: map[string]bool{}, answer: `{"error":"no space left on device"}`},
			want:  "import image coin/core:1: no space left on device",
		},
		{
			name:  "truncated stream",
			store: &store{images: map[string]bool{}, answer: `{"status":`},
			want:  "import image coin/core:1: unexpected EOF",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := demoimage.Import(t.Context(), test.store, []string{"coin/core:1"})
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
