package main

import (
	"time"

	"github.com/spf13/pflag"

	"coin.internal/coin-agent/internal/durations"
)

// durationFlag is a flag for a length of time in the form that settings and config.yml have: also 2d.
type durationFlag struct{ time *time.Duration }

// durationVar adds a flag for a length of time, whose default is the present value.
func durationVar(flags *pflag.FlagSet, at *time.Duration, name, usage string) {
	flags.Var(durationFlag{at}, name, usage)
}

// String gives the length of time.
func (f durationFlag) String() string {
	if f.time == nil { // pflag asks an empty one, too
		return ""
	}
	return f.time.String()
}

// Set reads the length of time.
func (f durationFlag) Set(text string) error {
	length, err := durations.Parse(text)
	if err == nil {
		*f.time = length
	}
	return err
}

// Type names the kind of value in a help.
func (durationFlag) Type() string { return "duration" }
