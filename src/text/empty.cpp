namespace taskneuron {}
