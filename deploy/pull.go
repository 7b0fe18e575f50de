package deploy

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/progress"
)

// pullAPI is what a Puller calls. Docker's own client has this method.
type pullAPI interface {
	ImagePull(ctx context.Context, image string, options image.PullOptions) (io.ReadCloser, error)
}

// Puller brings images to an engine, with the logins for their registries.
type Puller struct {
	api     pullAPI
	logins  *registries
	address address
}

// NewPuller gives a Puller of the engine that api is connected to. Logins is the file with the
// registry credentials, or ""; UseLogins says what it may have.
func NewPuller(api *client.Client, logins string) *Puller {
	engine := New(api)
	engine.UseLogins(logins)
	return &Puller{api: api, logins: engine.registries, address: engine.address}
}

// Pull brings an image to the engine.
func (p *Puller) Pull(ctx context.Context, name string) error {
	logins, err := p.logins.readLogins()
	if err != nil {
		return err
	}
	login, err := logins.of(ctx, RegistryOf(name))
	if err != nil {
		return err
	}
	answer, err := p.api.ImagePull(ctx, name, image.PullOptions{RegistryAuth: login.header})
	if client.IsErrConnectionFailed(err) {
		return p.address.explain("pull image "+name, err)
	}
	if err == nil {
		defer answer.Close() //nolint:errcheck // it is read to its end
		err = progress.Drain(answer)
	}
	if err != nil {
		return fmt.Errorf("pull image %s: %w", name, login.withhold(err))
	}
	return nil
}
