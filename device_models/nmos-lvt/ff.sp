* nmos-lvt at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model nmos_lvt_ff nmos (
+ level=14 version=4.8 tnom=25 capmod=2 rdsmod=0 igcmod=0
+ igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0 k3=0
+ lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0 etab=0
+ dsub=1 uc=0 a0=0 ags=0 a1=0 keta=0
+ b0=0 cit=0 cdsc=0 cdscb=0 voffl=0 pdiblc1=0
+ pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0 uc1=0
+ cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0 cjsws=0
+ cjswgs=0 mobmod=4 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.930635e-10
+ cgdo=1.930635e-10 vth0=0.2827845 nfactor=0.1248 eta0=0.1571162 u0=0.03125308 vsat=166287.5
+ pclm=0.09770569 minv=-0.4658125 rdsw=300.0433 ua=6.598312e-10 ub=5.301401e-18 prwg=2.300919
+ delta=0.01344924 pvag=-1.165308 cdscd=0.002140861 voff=-0.1187761 a2=1.105132 vtl=114898.5
+ xn=3 ute=-0.8844037 kt1=-0.02420531 at=-3486.94 ua1=1.939851e-09 ub1=-4.099522e-18
+ prt=8.884999 tvoff=0.003549085 tnfactor=-0.3 teta0=0.01)
