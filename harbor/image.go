package harbor

import (
	"net/url"
	"strings"

	"github.com/distribution/reference"

	"coin.internal/coin-agent/internal/fault"
)

// Image is the name of an image in Harbor.
type Image struct {
	Host      string // of the registry, with its port
	Path      string // project/repository; the repository may contain slashes
	Reference string // the digest, or the tag if there is no digest
}

// ParseImage reads an image's name. Names in Harbor are host/project/repository.
func ParseImage(name string) (Image, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Image{}, fault.New(fault.Place{}, "write a name such as registry/project/image:tag", "%q is not a valid image name", name)
	}
	image := Image{Host: reference.Domain(named), Path: reference.Path(named)}
	if !strings.Contains(image.Path, "/") {
		return Image{}, fault.New(fault.Place{}, "add it to gates.vulnerabilities.except", "%s is not in a Harbor registry: its name has no project", name)
	}
	switch one := reference.TagNameOnly(named).(type) {
	case reference.Canonical:
		image.Reference = one.Digest().String()
	case reference.Tagged:
		image.Reference = one.Tag()
	}
	return image, nil
}

// Name returns the name without tag and digest.
func (i Image) Name() string { return i.Host + "/" + i.Path }

// String returns the name with the tag, or the start of the digest.
func (i Image) String() string {
	if digest, ok := strings.CutPrefix(i.Reference, "sha256:"); ok && len(digest) > 12 {
		return i.Name() + "@sha256:" + digest[:12]
	}
	return i.Name() + ":" + i.Reference
}

// path returns the path of the artifact in the API. Harbor requires that the slashes in a
// repository's name are encoded twice.
func (i Image) path() string {
	project, repository, _ := strings.Cut(i.Path, "/")
	return "/api/v2.0/projects/" + url.PathEscape(project) +
		"/repositories/" + url.PathEscape(url.PathEscape(repository)) +
		"/artifacts/" + url.PathEscape(i.Reference)
}
