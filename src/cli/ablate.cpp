namespace taskneuron::cli {}
