package cosign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"coin.internal/coin-agent/internal/limits"
)

const (
	timeLimit     = 15 * time.Second // for all requests about one image
	maxManifest   = 4 << 20
	maxPayload    = 1 << 20 // a signature or bundle
	maxSignatures = 100     // of one image
	maxReferring  = 500     // artifacts that refer to it and are read
	maxPages      = 10      // of the list of what refers to an image
)

// Refused is the reason why an image does not count as signed. It holds until the image is
// signed or another key is listed.
type Refused struct{ why string }

func (r *Refused) Error() string { return r.why }

// ErrUndigested is the answer about an image that its registry has, and whose digest the caller
// does not know: the digest that runs would not be the one that was verified.
var ErrUndigested = errors.New("has no digest: its tag may stand for another image by the time it is pulled")

// Verify gives the key, of those listed, that signed an image. A *Refused is about the image;
// another error is about the registry, the login or an unknown digest, and may pass.
func (o Options) Verify(ctx context.Context, image Image, keys []Key) (Key, error) {
	if image.Name == "" {
		return Key{}, &Refused{"is an image ID, and only an image in a registry can be signed"}
	}
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	c, err := o.open(ctx, image)
	if err != nil {
		return Key{}, err
	}
	defer c.close()
	if image.Digest == "" {
		return Key{}, c.undigested(ctx, image)
	}
	s := &search{from: c, image: image, keys: keys, why: "is not signed"}
	for _, step := range []func(context.Context) error{s.tagged, s.referred} {
		err := step(ctx)
		switch {
		case s.found != nil:
			return *s.found, nil
		case errors.Is(err, limits.ErrExceeded):
			s.note(unreadable, "its signatures are too large: %s", c.said(err))
		case err != nil:
			return Key{}, c.explain(ctx, err)
		}
	}
	return Key{}, &Refused{s.why}
}

// undigested says why an image without a known digest cannot have a signature.
func (c *client) undigested(ctx context.Context, image Image) error {
	_, err := c.Resolve(ctx, image.Tag)
	switch {
	case err == nil:
		return ErrUndigested
	case errors.Is(err, errdef.ErrNotFound):
		return &Refused{"is not in its registry, and only an image in a registry can be signed"}
	}
	return c.explain(ctx, err)
}

// rank orders the reasons for which a signature does not count: the highest is told.
type rank int

const (
	unreadable rank = iota + 1
	unlisted        // made by another key
	foreign         // made by a listed key for another image
)

// search looks for a signature that counts.
type search struct {
	from      *client
	image     Image
	keys      []Key
	seen      int // signatures
	referring int // artifacts that refer to the image, and were read

	found *Key
	why   string
	rank  rank
}

// note keeps the reason for which a signature does not count.
func (s *search) note(why rank, format string, args ...any) {
	if why > s.rank {
		s.rank, s.why = why, fmt.Sprintf(format, args...)
	}
}

// another counts the signatures; false means that there are too many.
func (s *search) another() bool {
	if s.seen++; s.seen > maxSignatures {
		s.note(unreadable, "has more than %d signatures", maxSignatures)
	}
	return s.found == nil && s.seen <= maxSignatures
}

// oneMore counts the artifacts that refer to the image and are read; false means that there are
// too many, or that no more is needed.
func (s *search) oneMore() bool {
	if s.found != nil || s.seen > maxSignatures {
		return false
	}
	if s.referring++; s.referring > maxReferring {
		s.note(unreadable, "has more than %d artifacts that may be signatures", maxReferring)
	}
	return s.referring <= maxReferring
}

// tagged looks at the signatures under the tag that cosign makes of the digest.
func (s *search) tagged(ctx context.Context) error {
	tag := s.image.Digest.Algorithm().String() + "-" + s.image.Digest.Encoded() + ".sig"
	described, body, err := s.from.Manifests().FetchReference(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return s.manifest(ctx, described, body)
}

// referred looks at the signatures that refer to the image: by the registry's list, or, where
// it keeps none, by the list under the tag that the specification names.
func (s *search) referred(ctx context.Context) error {
	err := s.from.Referrers(ctx, ocispec.Descriptor{Digest: s.image.Digest, MediaType: ocispec.MediaTypeImageManifest}, "", func(all []ocispec.Descriptor) error {
		for _, one := range all {
			// An old registry's list may lack the type.
			other := !signs(one.ArtifactType) && one.ArtifactType != "" && one.ArtifactType != ocispec.MediaTypeEmptyJSON
			if other || attests(one.Annotations) || !s.oneMore() {
				continue
			}
			body, err := s.from.Manifests().Fetch(ctx, one)
			if err == nil {
				err = s.manifest(ctx, one, body)
				_ = body.Close()
			}
			if err != nil && !errors.Is(err, errdef.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errdef.ErrNotFound) || status(err) == notFound {
		return nil
	}
	return err
}

// manifest looks at the signatures in a manifest.
func (s *search) manifest(ctx context.Context, described ocispec.Descriptor, body io.Reader) error {
	text, err := s.read(described, maxManifest, body)
	if text == nil {
		return err
	}
	manifest, ok := decode[ocispec.Manifest](text)
	if !ok {
		s.note(unreadable, "has a signature that is not a manifest")
		return nil
	}
	if attests(manifest.Annotations) {
		return nil
	}
	for _, layer := range manifest.Layers {
		made, simple := layer.Annotations[annotation]
		bundled := isBundle(layer.MediaType)
		if !simple && !bundled || !s.another() {
			continue
		}
		blob, err := s.from.Blobs().Fetch(ctx, layer)
		if errors.Is(err, errdef.ErrNotFound) {
			s.note(unreadable, "has a signature whose content is not in the registry")
			continue
		}
		if err != nil {
			return err
		}
		text, err := s.read(layer, maxPayload, blob)
		_ = blob.Close()
		switch {
		case err != nil:
			return err
		case text == nil:
		case simple:
			s.simple(text, made)
		default:
			s.bundle(text)
		}
	}
	return nil
}

// read reads what a descriptor names; nothing if it is too large, or is not what it names.
func (s *search) read(described ocispec.Descriptor, most int64, body io.Reader) ([]byte, error) {
	if described.Size > most {
		s.note(unreadable, "has a signature of more than %d bytes", most)
		return nil, nil
	}
	text, err := content.ReadAll(body, described)
	if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) || errors.Is(err, content.ErrInvalidDescriptorSize) {
		s.note(unreadable, "has a signature whose content was changed in the registry")
		return nil, nil
	}
	return text, err
}
