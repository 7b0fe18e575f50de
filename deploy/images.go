package deploy

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
)

// MissingImages names those of the images, sorted, that are neither on this
// node nor, as far as the engine can tell without logging in, in their registry.
func (e *Engine) MissingImages(ctx context.Context, images []string) ([]string, error) {
	var missing []string
	for _, image := range slices.Compact(slices.Sorted(slices.Values(images))) {
		_, err := e.api.ImageInspect(ctx, image)
		if err == nil {
			continue
		}
		if !errdefs.IsNotFound(err) {
			return nil, e.explain("look for image "+image, err)
		}
		if _, err := e.api.DistributionInspect(ctx, image, ""); err != nil {
			missing = append(missing, image)
		}
	}
	return missing, nil
}
