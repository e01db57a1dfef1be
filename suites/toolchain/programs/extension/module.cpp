#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "words.h"

NB_MODULE(words_of_gpu, module) { module.def("words_of_gpu", &words_of_gpu); }
