// Command soak runs the built agent on a private Swarm for thousands of looks and syncs, and
// measures its memory after each look. `make soak` runs it.
//
//	go run ./examples/soak [-services 20] [-looks 10000] [-syncs 1000] [-out DIR]
//
// It needs root on a Linux machine with Go, dockerd and git. The services have no tasks. Its
// output is a table of the memory, soak-N.csv with each measure and soak-N.svg, a plot. It fails
// if the memory grows or a goal of docs/memory.md is exceeded, and always cleans up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"coin.internal/coin-agent/internal/fault"
)

// options are how long and how large the soak is.
type options struct {
	services, looks, syncs int
	out                    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// run runs the soak and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	var asked options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&asked.services, "services", 20, "services of the stack")
	flags.IntVar(&asked.looks, "looks", 10000, "looks to measure")
	flags.IntVar(&asked.syncs, "syncs", 1000, "syncs among the looks, each of which changes one service")
	flags.StringVar(&asked.out, "out", ".cache/soak", "the folder of the measures and the plot")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if asked.services < 1 || asked.looks < 2 || asked.syncs < 0 || asked.syncs > asked.looks {
		fmt.Fprintln(out, "soak: error: there must be services, two looks or more, and no more syncs than looks")
		return 2
	}
	if err := asked.soak(ctx, out); err != nil {
		for _, one := range fault.All(err) {
			fmt.Fprintf(out, "soak: error: %v\n", one)
			if hint := fault.Hint(one); hint != "" {
				fmt.Fprintf(out, "soak: hint: %s\n", hint)
			}
		}
		return 1
	}
	return 0
}

// soak runs the agent, and writes and judges what it measured.
func (o options) soak(ctx context.Context, out io.Writer) (err error) {
	w := &world{services: o.services}
	defer func() { err = errors.Join(err, w.cleanUp.Run()) }()
	if err := w.open(ctx); err != nil {
		return err
	}
	measured, err := w.measure(ctx, o, out)
	interrupted := ctx.Err() != nil && len(measured.samples) > 1 // what was measured is of use
	if err != nil && !interrupted {
		return errors.Join(err, w.logEnd())
	}
	if err := o.write(measured); err != nil {
		return err
	}
	fmt.Fprint(out, measured.table(o.services))
	if interrupted {
		return errors.New("the soak was interrupted")
	}
	return measured.judge(goalsOf(o.services))
}

// write writes each measure, and the plot.
func (o options) write(measured measures) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("write the measures: %w", err)
	}
	name, last := filepath.Join(o.out, fmt.Sprintf("soak-%d", o.services)), measured.samples[len(measured.samples)-1]
	title := fmt.Sprintf("%d services, %d looks, %d syncs", o.services, last.look, last.syncs)
	return errors.Join(writeFile(name+".csv", measured.writeCSV), writeFile(name+".svg", func(to io.Writer) error { return plot(to, title, measured.samples) }))
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
