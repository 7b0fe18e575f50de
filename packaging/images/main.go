// Command images takes an image that an engine saved, as a tar archive, and writes it without what differs
// from build to build: the times are those of SOURCE_DATE_EPOCH, and the names of containers and of images
// in between are left out. The same files and the same builder give the same bytes.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintf(os.Stderr, "images: error: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string) error {
	if len(args) != 4 {
		return errors.New("give the saved image, the file to write, the name of the image in it, and its architecture")
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	tag, err := name.NewTag(args[2])
	if err != nil {
		return err
	}
	return normalise(args[0], args[1], options{tag: tag, created: time.Unix(seconds, 0).UTC(), architecture: args[3]})
}

type options struct {
	tag          name.Tag
	created      time.Time
	architecture string // an engine's older builder names its own in images that begin with nothing
}

// normalise writes the only image of an archive to another archive.
func normalise(from, to string, o options) error {
	image, err := tarball.ImageFromPath(from, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	image, err = mutate.Time(image, o.created)
	if err != nil {
		return fmt.Errorf("set the times of %s: %w", from, err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	config := file.DeepCopy()
	config.Config.Hostname, config.Config.Image = "", "" // of a container and of an image of the build
	config.Architecture = o.architecture
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	if err := tarball.WriteToFile(to, o.tag, image); err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	return nil
}
