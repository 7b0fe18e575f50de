package cosign

import (
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Image is the image that a service runs.
type Image struct {
	Name   string        // with its registry, such as docker.io/library/redis
	Tag    string        // "" for none
	Digest digest.Digest // of the manifest, or of the index of several platforms; "" if it is not known
}

// ParseImage reads the image of a service. An image that is only an ID has no name.
func ParseImage(text string) Image {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Image{}
	}
	image := Image{Name: named.Name()}
	if digested, ok := named.(reference.Digested); ok {
		image.Digest = digested.Digest()
	}
	if tagged, ok := named.(reference.Tagged); ok {
		image.Tag = tagged.Tag()
	}
	return image
}

// String gives the name with its tag, if it has one, and with its digest.
func (i Image) String() string {
	text := i.Name
	if i.Tag != "" {
		text += ":" + i.Tag
	}
	if i.Digest != "" {
		text += "@" + i.Digest.String()
	}
	return text
}

// registry gives the host of the image's registry.
func (i Image) registry() string {
	named, err := reference.ParseNamed(i.Name)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// is reports whether a reference in a signature names the image: its repository, and its tag if
// both have one.
func (i Image) is(named string) bool {
	other := ParseImage(named)
	return i.Name != "" && other.Name == i.Name &&
		(other.Tag == "" || i.Tag == "" || other.Tag == i.Tag) &&
		(other.Digest == "" || other.Digest == i.Digest)
}
